terraform {
  required_providers {
    mcplambda = {
      source = "mcplambda/mcplambda"
    }
  }
}

# The same names as in the AWS provider; what is not given comes from the environment and the shared configuration files.
provider "mcplambda" {
  region              = "eu-central-1"
  allowed_account_ids = ["123456789012"]

  assume_role {
    role_arn = "arn:aws:iam::123456789012:role/deploy"
  }

  default_tags {
    tags = {
      team = "platform"
    }
  }
}
