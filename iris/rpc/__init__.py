"""The wire: protobuf, gRPC and their errors stop here; the rest of Iris knows records and `Method`s."""

import os

# What goes wrong on the wire becomes an error in Iris's words; gRPC's own lines would stand beside it.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
