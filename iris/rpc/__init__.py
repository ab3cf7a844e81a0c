"""The wire: protobuf, gRPC and their errors stop here; the rest of Iris knows records and `Method`s."""
