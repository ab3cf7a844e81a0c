"""Field types for the models of configs and scenarios: quantities as people write them."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from iris.core.instant import Millis
from iris.units import parse_cpu, parse_duration, parse_price, parse_size

Duration = Annotated[Millis, BeforeValidator(parse_duration)]
"""Milliseconds, written as `90s` or a bare number of seconds."""

PositiveDuration = Annotated[Duration, Field(gt=0)]
"""A duration that may not be nothing."""

Size = Annotated[int, BeforeValidator(parse_size)]
"""Bytes, written as `64GB` or `64GiB`."""

Cpu = Annotated[int, BeforeValidator(parse_cpu)]
"""Millicores, written as cores (`0.5`) or `500m`."""

Price = Annotated[int, BeforeValidator(parse_price)]
"""Millionths of a dollar, written in dollars."""

Count = Annotated[int, Field(ge=0)]
"""A whole number that is not negative."""

PositiveCount = Annotated[int, Field(ge=1)]
"""A whole number of at least one."""

Port = Annotated[int, Field(ge=1, le=65_535)]
"""A TCP port."""
