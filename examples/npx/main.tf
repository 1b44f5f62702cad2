# An MCP server from npm as a Lambda function, resolved while planning and installed hash by hash.
#
# npm (with Node 20 or newer) resolves and installs it; in the function only Node runs. Registries and credentials are npm's own:
# the environment, ~/.npmrc, and an .npmrc in this directory. Set AWS_REGION and credentials as for any provider.

terraform {
  required_version = ">= 1.8"

  required_providers {
    mcplambda = {
      source = "mcplambda/mcplambda"
    }
  }
}

locals {
  command = "npx"
  package = ["-y", "@modelcontextprotocol/server-everything"]
}

data "mcplambda_package" "everything" {
  command = local.command
  args    = local.package
}

resource "mcplambda_server" "everything" {
  name    = "everything"
  command = local.command
  args    = local.package
  lock    = data.mcplambda_package.everything.lock

  # Packages whose install scripts may run, for example to fetch a native addon. This server needs none.
  allow_scripts = []
}

output "qualified_arn" {
  description = "What an AgentCore gateway target is given as its Lambda ARN."
  value       = mcplambda_server.everything.qualified_arn
}

output "tool_schema_json" {
  description = "What an AgentCore gateway target is given as its tool schema."
  value       = mcplambda_server.everything.tool_schema_json
}

output "resolved_packages" {
  description = "The versions that run."
  value       = mcplambda_server.everything.resolved_packages
}
