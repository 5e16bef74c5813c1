"""Requests with plugins: what is part of the arm, what a worker is told, and what is refused."""

import shutil

import pytest
from plugin_files import MEDIAN, MODEL, NAME, SHIFT

from bnbench import CONFIGS, cli
from bnbench.analysis.load import has_population
from bnbench.config.arms import arm_id, evaluation_policies, flatten, science
from bnbench.config.checks import RequestError
from bnbench.config.recipe import resolve
from bnbench.request import own_code, plugins
from bnbench.request.hydra_internals import current_loader, initialised, options_of
from bnbench.running.launch import as_job, of_job

HELD = """
from functools import partial
from torch import nn

NORMS = {"mine": lambda n, dims: (nn.BatchNorm2d if dims else nn.BatchNorm1d)(n)}
"""
ONE = "plugins=[my_norm.py]"


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_norm.py").write_text(MEDIAN)
    return tmp_path


@pytest.fixture
def read(here):
    """Read a request as the command line does; what plugins offer is taken back."""

    def read(*overrides, multirun=True, own=None):
        with initialised(CONFIGS, own):
            return cli.read([*overrides], multirun)

    return read


def only(request):
    (arm,) = request.arms.values()
    return arm


def line(read, *overrides, **options):
    with pytest.raises(RequestError) as caught:
        read(*overrides, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_digest_is_part_of_the_arms_that_use_it_alone(read, here):
    shipped = read("norm=batchnorm,layernorm").arms.keys()
    request = read(ONE, f"norm=batchnorm,layernorm,{NAME}")
    own = request.arms.keys() - shipped
    assert request.arms.keys() > shipped
    (mine,) = own
    told = flatten(science(request.arms[mine].config))
    assert told["norm.plugin"].startswith("sha256:")
    assert not [value for value in told.values() if "my_norm" in str(value)]
    assert [arm.config.plugins for arm in request.arms.values()] == [
        [str(here / "my_norm.py")] if arm.id == mine else [] for arm in request.arms.values()
    ]
    (here / "elsewhere").mkdir()
    shutil.copy(here / "my_norm.py", here / "elsewhere" / "other.py")
    assert only(read("plugins=[elsewhere/other.py]", f"norm={NAME}")).id == mine
    (here / "my_norm.py").write_text(MEDIAN + "\n# another text\n")
    assert only(read(ONE, f"norm={NAME}")).id != mine


def test_options_have_their_defaults_types_and_checks(read):
    arm = only(read(ONE, f"norm={NAME}"))
    assert resolve(arm.config).norm_options == {"momentum": 0.1, "eps": 1e-5}
    assert only(read(ONE, f"norm={NAME}", "norm.momentum=0.1")).id == arm.id
    assert only(read(ONE, f"norm={NAME}", "norm.momentum=0.2")).id != arm.id
    ones = [only(read(ONE, f"norm={NAME}", f"norm.momentum={one}")).id for one in ("1", "1.0")]
    assert ones[0] == ones[1]
    for value in ("2", "0", "'a'", "null", "true", "[0.1]"):
        told = line(read, ONE, f"norm={NAME}", f"norm.momentum={value}")
        assert told == f"norm.momentum={value.strip(chr(39))}: expected a number > 0 and <= 1"
    told = line(read, ONE, f"norm={NAME}", "norm.ghost_size=2")
    assert told.startswith("norm.ghost_size: no such key, expected one of ")
    assert "momentum" in told
    assert "expected sha256:" in line(read, ONE, f"norm={NAME}", "norm.plugin=a")


def test_a_norm_without_a_batchnorm_has_no_policies_and_one_with_has_all(read, here):
    (here / "held.py").write_text(HELD)
    both = read("plugins=[my_norm.py,held.py]", f"norm={NAME},mine", "train.policies=[ema,batch]")
    policies = [evaluation_policies(arm.config) for arm in both.arms.values()]
    assert policies == [["none"], ["batch", "ema"]]
    told = [flatten(science(arm.config)) for arm in both.arms.values()]
    assert [one.get("norm.population") for one in told] == [None, True]
    import pandas as pd

    table = pd.DataFrame(
        [{k: one.get(k) for k in ("norm.name", "norm.population")} for one in told]
    )
    assert has_population(table).tolist() == [False, True]
    assert "would see one value" in line(read, "plugins=[held.py]", "norm=mine", "batch_size=1")


def test_a_worker_is_handed_the_same_arm_and_finds_its_rows(here):
    (here / "my_model.py").write_text(MODEL)
    (here / "my_shift.py").write_text(SHIFT)
    names = "plugins=[my_norm.py,my_model.py,my_shift.py]"
    words = [names, f"norm={NAME}", "norm.eps=1", "model=wide", "shift.names=[fog,contrast]"]
    with initialised(CONFIGS):
        request = cli.read([*words, "optim.base_lr=0.1", "shift.severities=[2]"], False)
    arm = only(request)
    again = of_job(as_job(arm.config))
    assert arm_id(science(again)) == arm.id
    for key in ("norm", "model", "shift", "plugins"):
        assert getattr(again, key) == getattr(arm.config, key)
    norms, models, shifts = own_code.rows(again)
    assert [*norms, *models] == [NAME, "wide"]
    (fog,) = shifts
    assert again.shift.own == [fog]
    assert fog.startswith("fog_")
    assert request.experiments[0].shifts == ["contrast-2", f"{fog}-2"]
    assert resolve(again).shifts == {("contrast", 2, "none"), (fog, 2, "none")}
    assert again.plugins == [str(here / f"my_{name}.py") for name in ("norm", "model", "shift")]


@pytest.mark.parametrize("part", ["norm", "model", "shift"])
def test_a_worker_refuses_another_text(read, here, part):
    file = here / f"my_{part}.py"
    file.write_text({"norm": MEDIAN, "model": MODEL, "shift": SHIFT}[part])
    words = {"norm": f"norm={NAME}", "model": "model=wide", "shift": "shift=fog"}[part]
    config = only(read(f"plugins=[{file.name}]", words, "optim.base_lr=0.1")).config
    own_code.rows(config)
    file.write_text(file.read_text() + "\n")
    with pytest.raises(RequestError, match="has another text than when the request was read"):
        own_code.rows(config)
    file.unlink()
    with pytest.raises(RequestError, match="there is no such file"):
        own_code.rows(config)


def test_a_shift_is_no_part_of_the_arm_but_its_text_is_of_its_name(read, here):
    (here / "my_shift.py").write_text(SHIFT)
    plain_arm = only(read()).id
    arm = only(read("plugins=[my_shift.py]", "shift=fog"))
    assert arm.id == plain_arm
    (here / "my_shift.py").write_text(SHIFT.replace("0.5)", "0.6)"))
    other = only(read("plugins=[my_shift.py]", "shift.names=[fog]"))
    assert other.id == plain_arm
    assert not {*arm.config.shift.own} & {*other.config.shift.own}
    assert "follows from shift.names" in line(read, "plugins=[my_shift.py]", "+shift.own=[a]")
    assert "shift.names" in line(read, "plugins=[my_shift.py]", "shift.names=[fog,fog]")


def test_an_experiment_of_ones_own_names_its_plugins(read, here):
    folder = here / "mine" / "experiment"
    folder.mkdir(parents=True)
    (folder / "medians.yaml").write_text(
        f"# @package _global_\nplugins: [my_norm.py]\narms:\n  - {{norm: 'batchnorm,{NAME}'}}\n"
        f"  - {{norm: {NAME}, norm.momentum: '0.2,0.3'}}\n"
        "report: {question: 'Is it the median?'}\n"
    )
    request = read("experiment=medians", "seeds=[0]", own=str(here / "mine"))
    assert len(request.arms) == 4
    told = line(read, "experiment=medians", "plugins=[]", own=str(here / "mine"))
    assert told.startswith(f"norm={NAME}: expected one of ")


def test_what_is_offered_is_taken_back(read):
    read(ONE, f"norm={NAME}")
    with initialised(CONFIGS):
        assert NAME not in options_of(current_loader(), "norm")
    assert NAME not in line(read, "norm=nothing")


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("gone.py", None, "there is no such file, expected the path of a .py file"),
        ("notes.txt", "", "expected the path of a .py file"),
        ("a.py", "x = = 1\n", "SyntaxError: invalid syntax in line 1"),
        ("a.py", "x = 1\n1 / 0\n", "ZeroDivisionError: division by zero in line 2"),
        ("a.py", "raise SystemExit(3)\n", "SystemExit: 3 in line 1"),
        ("a.py", "import gone_\n", "ModuleNotFoundError: No module named 'gone_' in line 1"),
        ("a.py", "x = 1\n", "adds nothing, expected a table NORMS or MODELS or SHIFTS"),
        ("a.py", "NORMS = {}\n", "adds nothing, expected a table NORMS or MODELS or SHIFTS"),
        ("a.py", "NORMS = [1]\n", "NORMS is list, expected a dict by name"),
        ("a.py", "NORMS = {'a': 1}\n", "NORMS['a'] is 1, expected a constructor"),
        (
            "a.py",
            "NORMS = {'A-b': 1}\n",
            "NORMS has 'A-b', expected a name of at most 40 small letters, digits and _",
        ),
        ("a.py", "NORMS = {'lrn': print}\n", "NORMS has lrn, which ships with bnbench"),
        ("a.py", "MODELS = {'vgg': print}\n", "MODELS has vgg, which ships with bnbench"),
        ("a.py", "SHIFTS = {'blur': print}\n", "SHIFTS has blur, which ships with bnbench"),
        (
            "a.py",
            "NORMS = {'a': lambda n, d: 3}\n",
            "NORMS['a'](8, 2) is int, expected a torch.nn.Module",
        ),
        (
            "a.py",
            "def make(n, d, k): 1 / 0\nNORMS = {'a': make}\nOPTIONS = {'a': {'k': 1}}\n",
            "NORMS['a'](8, 2, k=1): ZeroDivisionError: division by zero",
        ),
        (
            "a.py",
            "NORMS = {'a': print}\nOPTIONS = {'b': {}}\n",
            "OPTIONS has b, which NORMS and MODELS has not",
        ),
        (
            "a.py",
            "NORMS = {'a': print}\nOPTIONS = {'a': {'k': (2, lambda v: v < 1, 'less than 1')}}\n",
            "the default of OPTIONS['a']['k']=2: expected less than 1",
        ),
        (
            "a.py",
            "NORMS = {'a': print}\nOPTIONS = {'a': {'k': None}}\n",
            "OPTIONS['a']['k']: expected a default (true or false, a number, a text, a list), or "
            "(default, test, words for what the test lets pass)",
        ),
        (
            "a.py",
            "NORMS = {'a': print}\nOPTIONS = {'a': {'name': 'b'}}\n",
            "OPTIONS['a']['name']: expected a key other than name, plugin, population",
        ),
        (
            "a.py",
            "SHIFTS = {'a': print}\nSEVERITIES = {'a': (1, 2)}\n",
            "SEVERITIES['a'] is (1, 2), expected five finite numbers",
        ),
        (
            "a.py",
            "SHIFTS = {'a': print}\n",
            "SEVERITIES['a'] is None, expected five finite numbers",
        ),
        (
            "a.py",
            "MODELS = {'a': print}\n",
            "MODELS['a'].spatial_dims is None, expected 0 where its norms see (N, C), or 2 for "
            "(N, C, H, W)",
        ),
        (
            "a.py",
            "class A: spatial_dims = 0\nMODELS = {'a': A}\nOPTIONS = {'a': {'width': [3]}}\n",
            "OPTIONS['a'] has width: expected one of widths, depth, activation, init, init_scale, "
            "dropout, dropout_place, norm_layers (did "
            "you mean widths?)",
        ),
    ],
)  # fmt: skip
def test_a_file_that_is_no_plugin_is_refused_in_a_line(read, here, file, text, told):
    if text is not None:
        (here / file).write_text(text)
    assert line(read, f"plugins=[{file}]") == f"plugins=[{file}]: {told}"


def test_a_list_that_is_none_is_refused(read, here):
    (here / "again.py").write_text(MEDIAN + "\n")
    for words, told in {
        "plugins=my_norm.py": "plugins=my_norm.py: expected a list such as [my_norm.py]",
        "plugins=[1]": "plugins=[1]: expected a list such as [my_norm.py]",
        "plugins=null": "plugins=null: expected a list such as [my_norm.py]",
        "plugins=[my_norm.py],[a.py]": "cannot be swept, expected a list such as [my_norm.py]",
        "plugins=[my_norm.py,my_norm.py]": "expected a list of distinct paths of Python files",
        "plugins=[my_norm.py,again.py]": f"both have the norm {NAME}, expected one of the two",
        "plugins=[~nobody_/a.py]": "there is no user nobody_ with a home",
        "arms=[{plugins: [my_norm.py]}]": "cannot be swept, expected one value for all arms",
    }.items():
        assert told in line(read, words), words
    assert line(read, "~plugins") == "plugins: missing, it cannot be removed"


def test_a_results_folder_never_loads_one(read, here):
    inside = here / "results" / "runs"
    (inside / "experiment").mkdir(parents=True)
    (inside / "evil.py").write_text("raise SystemError('it ran')\n")
    (inside / "experiment" / "own.yaml").write_text(
        "# @package _global_\nplugins: [my_norm.py]\nreport: {question: 'Is it?'}\n"
    )
    words = "is in the results folder results, which holds data and never code"
    assert words in line(read, "plugins=[results/runs/evil.py]")
    assert words in line(read, "plugins=[./results/../results/runs/evil.py]")
    (here / "link.py").symlink_to(inside / "evil.py")
    assert words in line(read, "plugins=[link.py]")
    assert words in line(read, "experiment=own", own=str(inside))
    told = line(read, "plugins=[other/a.py]", "results=other")
    assert "is in the results folder other" in told


def test_a_norm_that_is_not_for_the_net_is_refused_before_anything_trains(read, here):
    (here / "flat.py").write_text(
        MEDIAN.replace(
            "        super().__init__()\n",
            "        super().__init__()\n        if not spatial_dims:\n"
            "            raise ValueError('it needs space')\n",
        )
    )
    words = ["plugins=[flat.py]", f"norm={NAME}"]
    assert read(*words, "model=vgg").arms
    assert "ValueError: it needs space" in line(read, *words)


def test_a_norm_is_made_for_the_data_where_it_stands_on_them(read, here):
    (here / "small.py").write_text(
        MEDIAN.replace(
            "        super().__init__()\n",
            "        super().__init__()\n        if num_features == 100:\n"
            "            raise ValueError(f'{num_features} features')\n",
        )
    )
    words = ["plugins=[small.py]", f"norm={NAME}"]
    assert read(*words, "model.norm_layers=input").arms
    assert "ValueError: 100 features" in line(read, *words)


def test_a_model_has_the_keys_of_every_model(read, here):
    (here / "my_model.py").write_text(MODEL)
    words = ["plugins=[my_model.py]", "model=wide", "norm=none,batchnorm"]
    request = read(*words, "optim.base_lr=0.1")
    arms = list(request.arms.values())
    assert [arm.config.model.widths for arm in arms] == [[20, 20]] * 2
    assert {arm.config.model.activation for arm in arms} == {"tanh"}
    assert flatten(science(arms[0].config))["model.spatial_dims"] == 0
    assert "no rate is tuned for model=wide data=digits" in line(read, *words)
    assert line(read, *words, "optim.base_lr=0.1", "model.norm_layers=last") == (
        "model.norm_layers=last: expected every with model=wide, which has its norms where its "
        "plugin puts them"
    )
    told = line(read, *words, "optim.base_lr=0.1", "model.activation=gelu")
    assert told.startswith("model.activation=gelu: expected one of relu")
    assert "no such key" in line(read, *words, "optim.base_lr=0.1", "model.heads=2")


def test_a_text_runs_once_in_a_process(here):
    (here / "loud.py").write_text(
        SHIFT + "\nimport builtins\nbuiltins.times = getattr(builtins, 'times', 0) + 1\n"
    )
    import builtins

    for _ in range(3):
        plugins.load("loud.py")
    assert builtins.times == 1
    del builtins.times
