# By the name of the Lambda function. The plan that follows is empty when the configuration matches.
terraform import mcplambda_server.time mcp-server-time
