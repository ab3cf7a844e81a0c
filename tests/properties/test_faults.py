"""Whatever happens, in whatever order: nothing that must hold breaks, and all ends once faults stop."""

from tests.properties.serving import Serving

TestFaults = Serving.TestCase
