# The smallest one: the newest mcp-server-time, pinned in the state from the first apply on.
resource "mcplambda_server" "time" {
  name    = "time"
  command = "uvx"
  args    = ["mcp-server-time"]
}

# A given version, a constraint on one of its dependencies, arguments and permissions of its own.
resource "mcplambda_server" "documentation" {
  name        = "aws-documentation"
  description = "Searches and reads the AWS documentation"
  command     = "uvx"
  args        = ["awslabs.aws-documentation-mcp-server@1.1.30"]
  packages    = ["mcp<2"]

  env = {
    FASTMCP_LOG_LEVEL = "ERROR"
  }

  architecture       = "arm64"
  runtime            = "python3.13"
  memory             = 512
  timeout            = 30
  log_retention_days = 30

  tags = {
    team = "platform"
  }
}

# Exactly what was reviewed: the packages are resolved at plan, hash by hash, and the apply installs nothing else.
data "mcplambda_package" "sqlite" {
  command  = "uvx"
  args     = ["mcp-server-sqlite"]
  packages = ["mcp<2"]
}

resource "mcplambda_server" "sqlite" {
  name     = "sqlite"
  command  = "uvx"
  args     = ["mcp-server-sqlite", "--db-path", "/tmp/data.db"]
  packages = ["mcp<2"]
  lock     = data.mcplambda_package.sqlite.lock
}

# For MCP clients that speak HTTP: a URL for signed requests that streams, a secret by reference, and only tools that read.
resource "mcplambda_server" "git" {
  name    = "git"
  command = "uvx"
  args    = ["mcp-server-git"]

  function_url = {
    auth_type   = "AWS_IAM"
    invoke_mode = "RESPONSE_STREAM"
  }

  secrets = {
    GIT_TOKEN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:git-AbCdEf:token::"
  }
  secrets_ttl = 3600

  include_tools = ["git_*"]
  exclude_tools = ["git_commit", "git_reset"]
  tool_prefix   = "repo_"

  log_format = "JSON"
  metrics    = true
  tracing    = "Active"
}

# A server of your own: a Python script; what its requirements.txt, pyproject.toml or uv.lock asks for is locked and installed.
resource "mcplambda_server" "orders" {
  name            = "orders"
  command         = "python3"
  args            = ["main.py"]
  source_dir      = "${path.module}/orders"
  source_excludes = ["tests/", "*.md"]
}

# Any program, built for Linux and the function's architecture, with a tool that a layer brings.
resource "mcplambda_server" "search" {
  name         = "search"
  command      = "./bin/search-server"
  args         = ["--index", "/var/task/index"]
  source_dir   = "${path.module}/search"
  architecture = "arm64"
  layers       = ["arn:aws:lambda:eu-central-1:123456789012:layer:ripgrep:3"]
}
