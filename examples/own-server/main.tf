# A server of your own: a Python script, and what its folder's requirements.txt asks for.
#
# Set AWS_REGION and credentials as for any provider, then `terraform init` and `terraform apply`.

resource "mcplambda_server" "dice" {
  name            = "dice"
  command         = "python3"
  args            = ["main.py"]
  source_dir      = "${path.module}/server"
  source_excludes = ["tests/"]
}

output "qualified_arn" {
  description = "What an AgentCore gateway target is given as its Lambda ARN."
  value       = mcplambda_server.dice.qualified_arn
}

output "resolved_packages" {
  description = "The versions that run, pinned in the state until requirements.txt changes."
  value       = mcplambda_server.dice.resolved_packages
}
