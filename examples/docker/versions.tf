terraform {
  required_version = ">= 1.8"

  required_providers {
    mcplambda = {
      source = "mcplambda/mcplambda"
    }
  }
}
