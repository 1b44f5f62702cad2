#!/bin/sh
# An exec wrapper: called with the interpreter and the managed runtime's bootstrap, it puts a runtime
# of its own in the bootstrap's place.
interpreter=$1
export WRAPPED_BOOTSTRAP=$2
exec "$interpreter" "$LAMBDA_TASK_ROOT/runtime.py"
