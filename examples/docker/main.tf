# A server published as a container image, as its README writes it. No Docker is needed where Terraform runs: one layer with the bridge is
# added, and the image goes to an ECR repository that is made for the function.
resource "mcplambda_server" "fetch" {
  name    = "fetch"
  command = "docker"
  args    = ["run", "-i", "--rm", "mcp/fetch"]

  memory  = 1024
  timeout = 60
}

output "image" {
  description = "The digest that runs."
  value       = mcplambda_server.fetch.lock
}
