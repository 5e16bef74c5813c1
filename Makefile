# bnbench. Needs Python 3.11 or newer and make; every target sets up the rest in .venv by itself.
#   make sweep EXP=placement DATA=fashion_mnist SEEDS=[0,1] JOBS=2 ARGS="batch_size=128 optim.lr_mult=5"

PYTHON   ?= python3
EXP      ?=
DATA     ?=
SEEDS    ?=
JOBS     ?=
LAUNCHER ?=
ARGS     ?=

DEFAULT_EXP := placement,lr_mult,batch_size,shift,sigmoid

BIN       := .venv/bin
RUN       := $(BIN)/python
quoted     = '$(subst ','\'',$(1))'# one word for the shell, whatever is in it
OVERRIDES  = $(if $(DATA),$(call quoted,data=$(DATA))) $(if $(SEEDS),$(call quoted,seeds=$(SEEDS))) \
             $(if $(LAUNCHER),$(call quoted,hydra/launcher=$(LAUNCHER))) \
             $(if $(JOBS),$(call quoted,hydra.launcher.$(or $(JOBS_$(LAUNCHER)),n_jobs)=$(JOBS))) $(ARGS)

# what a launcher needs beyond .venv/ready, and how it is told the number of jobs
EXTRA_ray            := ray
EXTRA_slurm          := slurm
EXTRA_submitit_local := slurm
EXTRA_submitit_slurm := slurm
JOBS_ray             := ray.init.num_cpus
JOBS_slurm           := array_parallelism
JOBS_submitit_slurm  := array_parallelism

.DEFAULT_GOAL := help
.PHONY: help sweep test check types all-tests report claims gallery bench plan status compare cite data sync dashboard clean distclean

help:  ## show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'
	@echo "Variables: EXP, DATA, SEEDS, JOBS, LAUNCHER, ARGS (Hydra overrides)."
	@echo 'Example:   make sweep EXP=placement DATA=fashion_mnist SEEDS=[0] ARGS="batch_size=128"'

.venv/ready: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "bnbench needs Python 3.11 or newer, found " + sys.version)'
	@echo "setting up .venv (a few minutes the first time)"
	@$(PYTHON) -m venv .venv
	@$(RUN) -m pip install -q --disable-pip-version-check -c requirements.lock -e .
	@touch $@

.venv/ready-%: .venv/ready
	@$(RUN) -m pip install -q --disable-pip-version-check -c requirements.lock -e '.[$*]'
	@touch $@

sweep: .venv/ready $(addprefix .venv/ready-,$(EXTRA_$(LAUNCHER)))  ## run experiments in parallel, then the report (EXP=a,b; by default the five on digits)
	@$(RUN) scripts/sweep.py $(call quoted,experiment=$(or $(EXP),$(DEFAULT_EXP))) $(OVERRIDES)

test: .venv/ready-dev .venv/ready-workspace  ## the unmarked tests, two to five minutes
	OMP_NUM_THREADS=1 $(RUN) -m pytest -q -n 2 --dist worksteal

check: .venv/ready-dev .venv/ready-ray .venv/ready-slurm .venv/ready-workspace  ## format, lint, types and all tests, as CI does
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	@$(MAKE) --no-print-directory -j 2 types all-tests

types: .venv/ready-dev
	$(BIN)/basedpyright

# three workers on two cores: many of these tests wait for processes of their own
all-tests: .venv/ready-dev
	OMP_NUM_THREADS=1 $(RUN) -m pytest -q -n 3 --dist worksteal -m 'slow or not slow'

report: .venv/ready  ## write results/report.html anew from what is there
	@$(RUN) scripts/report.py $(ARGS)

claims: .venv/ready $(addprefix .venv/ready-,$(EXTRA_$(LAUNCHER)))  ## run what the claims lack, judge them, show the scoreboard (ARGS=claims=C1a,M6a for some)
	@$(RUN) scripts/claims.py $(OVERRIDES)

gallery: .venv/ready $(addprefix .venv/ready-,$(EXTRA_$(LAUNCHER)))  ## pictures for a slide, two of them moving: loss landscape, error surface, activations (some minutes)
	@$(RUN) scripts/gallery.py $(OVERRIDES)

bench: .venv/ready  ## time the training loop and the layer (paired ratios, some minutes)
	@$(RUN) scripts/bench.py $(if $(DATA),--data $(call quoted,$(DATA))) $(ARGS)

plan: .venv/ready $(addprefix .venv/ready-,$(EXTRA_$(LAUNCHER)))  ## what the same sweep would do: arms, done or missing, and minutes (ARGS=claims=all for the claims)
	@$(RUN) scripts/plan.py $(if $(EXP)$(findstring claims=,$(ARGS)),$(if $(EXP),$(call quoted,experiment=$(EXP))),$(call quoted,experiment=$(DEFAULT_EXP))) $(OVERRIDES)

status: .venv/ready  ## what became of every experiment's runs
	@$(RUN) scripts/status.py $(ARGS)

compare: .venv/ready  ## two results side by side (ARGS="results elsewhere/results", EXP=, DATA=)
	@$(RUN) scripts/compare.py $(if $(EXP),$(call quoted,experiment=$(EXP))) $(if $(DATA),$(call quoted,data=$(DATA))) $(ARGS)

cite: .venv/ready  ## how to cite bnbench, as text and BibTeX
	@$(RUN) scripts/cite.py $(ARGS)

data: .venv/ready  ## download and check a data set (DATA=fashion_mnist, mnist, cifar10; or folder, npz: what your own are)
	@$(RUN) scripts/data.py $(call quoted,$(or $(DATA),digits)) $(ARGS)

sync: .venv/ready  ## upload the W&B runs that no server has yet
	@$(RUN) scripts/sync.py $(ARGS)

dashboard: .venv/ready-workspace  ## build the W&B workspaces of experiments (EXP=a,b; by default of all results)
	@$(RUN) scripts/dashboard.py $(if $(EXP),--exp $(call quoted,$(EXP))) $(if $(DATA),--data $(call quoted,$(DATA))) $(ARGS)

clean:  ## remove caches and build files
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

distclean: clean  ## remove .venv too; nothing ever removes results
	rm -rf .venv
