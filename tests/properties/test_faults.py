"""Whatever happens, in whatever order: nothing that must hold breaks, and all ends once faults stop."""

from tests.properties.machines import Faults

TestFaults = Faults.TestCase
