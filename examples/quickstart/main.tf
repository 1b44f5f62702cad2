# An MCP server from PyPI as a Lambda function, ready for an AgentCore gateway.
#
# In an AWS account: set AWS_REGION and credentials as for any provider, then `terraform init` and `terraform apply`.
# In a local AWS, without an account: `make demo` at the root of the repository.

terraform {
  required_version = ">= 1.8"

  required_providers {
    mcplambda = {
      source = "mcplambda/mcplambda"
    }
  }
}

variable "runtime" {
  description = "Lambda runtime of the server; null for the provider's default."
  type        = string
  default     = null
}

resource "mcplambda_server" "time" {
  name    = "time"
  command = "uvx"
  args    = ["mcp-server-time"]
  runtime = var.runtime
}

output "qualified_arn" {
  description = "What an AgentCore gateway target is given as its Lambda ARN."
  value       = mcplambda_server.time.qualified_arn
}

output "tool_schema_json" {
  description = "What an AgentCore gateway target is given as its tool schema."
  value       = mcplambda_server.time.tool_schema_json
}

output "resolved_packages" {
  description = "The versions that run, pinned in the state."
  value       = mcplambda_server.time.resolved_packages
}

output "verification" {
  description = "What was measured when the new version answered before it went live."
  value       = mcplambda_server.time.verification
}
