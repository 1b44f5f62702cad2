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
