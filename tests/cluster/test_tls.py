"""TLS: what goes over it works, and what is wrong with a certificate is said in words."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from iris.client import IrisClient, RemoteError
from iris.cluster.types import Entrypoint
from iris.exit_status import ExitStatus
from iris.rpc.addresses import parse_address
from iris.rpc.certificates import trouble
from tests.cluster.certificates import ELSEWHERE, Authority
from tests.cluster.running import RunningCluster, running


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> tuple[Authority, Authority]:
    folder = tmp_path_factory.mktemp("authorities")
    return Authority(folder, "ours"), Authority(folder, "theirs")


def showing(root: Path, pair: tuple[Path, Path]) -> Iterator[RunningCluster]:
    """A controller that shows a certificate which its own workers would refuse: so it has none."""
    group = {"accelerator_type": "cpu", "vm": {"cpu": 1, "memory": "1GB"}, "max_slices": 1}
    yield from running(root, tls=pair, scale_groups={"cpu": group})


def ask(cluster: RunningCluster, authority: Path | None, scheme: str = "https") -> RemoteError:
    """How the client is refused."""
    url = f"{scheme}://127.0.0.1:{cluster.port}"
    began = time.monotonic()
    with (
        IrisClient.remote(url, authority=authority) as client,
        pytest.raises(RemoteError) as refused,
    ):
        client.job("/alice/x").wait(60)
    assert time.monotonic() - began < 30
    assert refused.value.status is ExitStatus.UNREACHABLE
    assert "\n" not in str(refused.value)
    return refused.value


@pytest.fixture(scope="module")
def good(
    tmp_path_factory: pytest.TempPathFactory, authorities: tuple[Authority, Authority]
) -> Iterator[RunningCluster]:
    yield from showing(tmp_path_factory.mktemp("good"), authorities[0].sign("good"))


def test_jobs_run_over_tls_with_workers_that_verify_and_tasks_that_submit(tmp_path: Path) -> None:
    def parent() -> str:
        from iris.client import iris_ctx

        with iris_ctx().client() as inner:
            return inner.submit(Entrypoint.from_command("true"), "child").wait().state

    own = Authority(tmp_path, "both")
    for cluster in running(tmp_path, tls=own.chain("here")):
        url = f"https://127.0.0.1:{cluster.port}"
        with IrisClient.remote(url, authority=own.cert, user="alice") as client:
            job = client.submit(Entrypoint.from_callable(sum, [1, 2]), "over-tls")
            assert job.result(60) == 3
            assert (
                client.submit(Entrypoint.from_callable(parent), "parent").result(60) == "succeeded"
            )


def test_a_certificate_of_an_unknown_authority_is_refused(
    good: RunningCluster, authorities: tuple[Authority, Authority]
) -> None:
    stranger = authorities[1].cert
    refused = ask(good, stranger)
    assert f"signed by somebody whom {stranger} does not name" in str(refused)
    assert "IRIS_AUTHORITY" in refused.help
    assert "signed by somebody whom nobody here knows" in str(ask(good, None))


def test_a_certificate_of_another_host_is_refused(
    tmp_path: Path, authorities: tuple[Authority, Authority]
) -> None:
    for cluster in showing(tmp_path, authorities[0].sign("elsewhere", ELSEWHERE)):
        refused = ask(cluster, authorities[0].cert)
        said = str(refused)
        assert re.search("its certificate is refused: ip address mismatch", said), said
        assert "127.0.0.1" in said
        assert "a name that it has (elsewhere.example)" in refused.help


def test_an_expired_certificate_is_refused(
    tmp_path: Path, authorities: tuple[Authority, Authority]
) -> None:
    for cluster in showing(tmp_path, authorities[0].sign("expired", expired=True)):
        refused = ask(cluster, authorities[0].cert)
        assert "its certificate is refused: certificate has expired" in str(refused)
        assert refused.help == "renew it, and `iris cluster restart`"


def test_a_command_says_it_once_and_grpc_does_not_add_to_it(
    good: RunningCluster, authorities: tuple[Authority, Authority]
) -> None:
    program = "import sys; from iris.cli.main import main; sys.exit(main())"
    url = f"https://127.0.0.1:{good.port}"
    variables = {k: v for k, v in os.environ.items() if k != "GRPC_VERBOSITY"}
    done = subprocess.run(
        [sys.executable, "-c", program, "job", "list", "--controller-url", url],
        env={**variables, "IRIS_AUTHORITY": str(authorities[1].cert)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (ExitStatus.UNREACHABLE, "")
    first, second = done.stderr.splitlines()
    assert first.startswith(f"error: {url}: its certificate is signed by somebody whom ")
    assert second.startswith("help: ")


def test_tls_and_plain_are_told_apart(good: RunningCluster, tmp_path: Path) -> None:
    assert "write https:// instead" in ask(good, None, scheme="http").help
    for plain in running(tmp_path):
        refused = ask(plain, None)
        assert "it does not speak TLS" in str(refused)
        assert "if that is meant, write http://" in refused.help


def test_nothing_is_found_where_nothing_is_wrong(
    good: RunningCluster, authorities: tuple[Authority, Authority]
) -> None:
    address = parse_address(f"https://127.0.0.1:{good.port}")
    assert trouble(address, authorities[0].cert) is None


def test_an_authority_that_is_none_is_named(good: RunningCluster, tmp_path: Path) -> None:
    path = tmp_path / "no.pem"
    path.write_text("no certificate")
    assert f"{path} holds no certificate in PEM form" in str(ask(good, path))


def test_a_client_is_not_fooled_by_a_name_that_the_certificate_lacks(
    good: RunningCluster, authorities: tuple[Authority, Authority]
) -> None:
    with IrisClient.remote(
        f"https://localhost:{good.port}", authority=authorities[0].cert
    ) as client:
        assert client.jobs() == []


@pytest.mark.parametrize(
    ("cert", "key", "why"),
    [
        ("one.pem", "two.key", "two.key is no key of the certificate"),
        ("one.pem", "one.pem", "one.pem is no key of the certificate"),
        ("one.pem", "none", "controller.tls.key: .*none: No such file or directory"),
    ],
)
def test_a_controller_with_no_pair_of_certificate_and_key_says_so(
    tmp_path: Path, cert: str, key: str, why: str
) -> None:
    for name in ("one", "two"):
        made = Authority(tmp_path, f"of-{name}").sign(name)
        made[0].rename(tmp_path / "one.pem" if name == "one" else tmp_path / "two.pem")
        made[1].rename(tmp_path / f"{name}.key")
    cluster = RunningCluster(tmp_path, tls=(Path(cert), Path(key)))
    command = [sys.executable, "-m", "iris.cluster.controller.main", "serve"]
    done = subprocess.run(
        [*command, f"--config={cluster.config}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == ExitStatus.BAD_INPUT, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "INFO" not in line]
    assert re.search(f"^error: .*{why}", line)
