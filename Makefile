# Every target makes or updates the environment first; `make demo` on a fresh clone just works.
PYTHON ?= python3
VENV ?= .venv
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif
BOOTSTRAP := $(PYTHON) install/bootstrap.py

.PHONY: help demo picture test test-slow test-all soak check lint bench bare catalogues clean

help:
	@echo "make demo       restore an aged sample picture; SCANS=\"a.tif b.jpg\" restores yours as well"
	@echo "make test       the fast tests; ARGS=\"-k tiff\" goes to pytest"
	@echo "make check      ruff, mypy and the fast tests: before a commit"
	@echo "make test-all   every test;  make test-slow: only those that take minutes"
	@echo "make soak       the hot folder on a bad day, MINUTES=600 for a night (10 if not said)"
	@echo "make bench      speed and memory of restoring"
	@echo "make catalogues the plug-ins' translations, in step with the sources"
	@echo "make bare       build the wheel, install it without development tools, run it"

demo:
	$(BOOTSTRAP) demo --venv $(VENV) $(SCANS)

# README's picture, to be made anew when a model changes.
picture: demo
	mkdir -p docs/images
	$(BIN)/python -c "from PIL import Image; Image.open('demo/sample_scan_before_after.png').convert('RGB').save('docs/images/before-and-after.jpg', quality=88, optimize=True)"

test:
	$(BOOTSTRAP) test --venv $(VENV) $(ARGS)

test-slow:
	$(BOOTSTRAP) test --venv $(VENV) -m slow $(ARGS)

test-all:
	$(BOOTSTRAP) test --venv $(VENV) -m "slow or not slow" $(ARGS)

soak:
	SCANMEND_SOAK_MINUTES=$(or $(MINUTES),10) $(BOOTSTRAP) test --venv $(VENV) -m slow -k bad_day -s $(ARGS)

lint:
	$(BOOTSTRAP) venv --venv $(VENV) --extras demo,dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint test

bench:
	$(BOOTSTRAP) venv --venv $(VENV) --extras bench
	$(BIN)/python benchmarks/speed/inference.py
	$(BIN)/python benchmarks/speed/deblur.py
	$(BIN)/python benchmarks/speed/end_to_end.py

# A package that only developers have must not be needed: so no extras here.
bare:
	$(BOOTSTRAP) venv --venv $(VENV)
	rm -rf build/bare && mkdir -p build/bare
	$(BIN)/python -m pip --disable-pip-version-check wheel --quiet --no-deps --wheel-dir build/bare .
	$(PYTHON) -m venv build/bare/venv
	build/bare/venv/bin/python -m pip --disable-pip-version-check install --quiet --constraint install/constraints.txt build/bare/*.whl
	cd build/bare && venv/bin/scanmend --help && venv/bin/scanmend doctor && venv/bin/scanmend models verify
	cd build/bare && venv/bin/python -c "from PIL import Image; Image.effect_noise((320, 240), 20).convert('RGB').save('noisy.tif')"
	cd build/bare && venv/bin/scanmend restore noisy.tif && test -s noisy_restored.tif
	$(PYTHON) install/try_hot_folder.py build/bare/venv/bin build/bare/noisy.tif

# The plug-ins' translations, brought in step with the words in their sources.
catalogues:
	$(BOOTSTRAP) venv --venv $(VENV) --extras demo,dev
	$(BIN)/python plugin/catalogues.py

clean:
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache demo
