# The two commands: `make demo` and `make test`. Everything lives in .venv; no root needed.
PYTHON ?= python3
PY := .venv/bin/python
STAMP := .venv/.complete

.PHONY: venv demo test check bench docs lint sim fuzz clean

venv: $(STAMP)

$(STAMP): requirements/run.txt requirements/test.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "signoff: python 3.11 or newer is needed, $(PYTHON) is older; next: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@test -x $(PY) || $(PYTHON) -m venv .venv || \
	  { echo "signoff: cannot make .venv; next: install your system's python venv package" >&2; exit 1; }
	$(PY) -m pip install -q --disable-pip-version-check --require-hashes -r requirements/test.txt
	$(PY) -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

demo: venv  ## the incident, replayed on real local components
	$(PY) -m signoff demo kiro $(DEMO)

test: venv  ## everything that runs without root, a browser or an installed database
	$(PY) -m pytest

check: venv lint  ## lint and the fast tests, under a minute
	$(PY) -m pytest -m "not slow and not real" -x

lint: venv
	$(PY) -m ruff check src tests
	$(PY) -m ruff format --check src tests
	$(PY) -m mypy

bench: venv  ## every number the README quotes
	$(PY) -m signoff bench

docs: venv  ## write the generated pages of docs/reference
	$(PY) -m signoff.faces.reference

sim: venv  ## the long simulation, outside CI
	SIGNOFF_SCHEDULES=20000 $(PY) -m pytest tests/simulation

clean:
	rm -rf .venv
