"""Tests of the ports of `iris.ports`: one suite for each, run against every implementation."""
