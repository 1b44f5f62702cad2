data "mcplambda_package" "time" {
  command = "uvx"
  args    = ["mcp-server-time"]
}

resource "mcplambda_server" "time" {
  name    = "time"
  command = "uvx"
  args    = ["mcp-server-time"]
  lock    = data.mcplambda_package.time.lock
}

output "versions" {
  value = data.mcplambda_package.time.versions
}
