# shellcheck shell=sh
# What needs neither Dask nor a launcher nor the network: format, lint, types, dead code, layers. Sourced from the project's folder.
. scripts/lib/setup.sh

# What Python's lint, types and unit tests are run with, in .tools/lint; exact versions, because each release formats a little differently.
lint_packages='ruff==0.17.6 mypy==2.4.1 pytest==9.2.0'
lint=$tools/lint
checks_failed=

# Makes .tools/lint, without Dask: what Dask gives has no type then, wherever the checks run.
install_lint() {
  begin lint
  find_python
  if [ "$(cat "$lint/made-for" 2>/dev/null)" = "$lint_packages for ${python-}" ]; then
    end "all there"
    return
  fi
  : >"$logs/$step.log"
  rm -rf "$lint"
  # shellcheck disable=SC2086 # a list of packages
  if [ -n "${python-}" ] && quietly "$python" -m pip install --disable-pip-version-check --retries 2 --timeout 30 --target "$lint" $lint_packages; then
    printf '%s' "$lint_packages for $python" >"$lint/made-for"
    end "installed in .tools/lint"
  else
    end "could not install $lint_packages from PyPI (.tools/log/$step.log says why); Python's lint, types and unit tests are left out"
  fi
}

# check NAME CURE COMMAND…: runs one check; when it fails, shows what it found and how to mend it, and goes on.
check() {
  begin "$1"
  cure=$2
  shift 2
  if NO_COLOR=1 "$@" >"$logs/$step.log" 2>&1; then
    end "no errors"
  else
    end "failed"
    sed 's/^/  | /' "$logs/$step.log" >&2
    printf '  cure:  %s\n' "$cure" >&2
    checks_failed="$checks_failed $step"
  fi
}

check_static() {
  install_lint
  check biome "\`npm run format\` formats; \`node_modules/.bin/biome lint --write\` mends what is safe to mend." \
    node_modules/.bin/biome ci --colors=off --error-on-warnings
  check types "Mend the types; \`npm run typecheck\` shows them alone." node_modules/.bin/tsc --noEmit
  check layers "Turn the import round, or move what both need into a lower room (scripts/layers.mjs has the order)." \
    "$node" scripts/layers.mjs
  check comments "Break these lines: no comment is wider than 120 columns." "$node" scripts/comment-columns.mjs
  check dead-code "Remove it, or the word \`export\` where only its own file uses it; knip.json names the entries." \
    node_modules/.bin/knip --no-progress
  find_python && check foreign-names "Move it into a file of python/tsdask_mpi/compat/, whose head says what it relies on (CONTRIBUTING.md has how)." \
    "$python" scripts/foreign_names.py
  if [ -e "$lint/made-for" ]; then
    check ruff "\`npm run format\` formats; \`.tools/lint/bin/ruff check --fix\` mends what is safe to mend." check_ruff
    check mypy "Mend the types; pyproject.toml has the settings." env PYTHONPATH="$lint" "$python" -m mypy
    check pytest "\`PYTHONPATH=.tools/lint:python python3 -m pytest test/python/unit\` shows them alone." \
      check_pytest
  fi
}

check_ruff() {
  "$lint/bin/ruff" format --check && "$lint/bin/ruff" check
}

# In a temporary folder of its own: pytest keeps those of its last three runs, and what a test leaves there fails the check.
check_pytest() {
  folder=$(mktemp -d "${TMPDIR:-/tmp}/tsdask-pytest-XXXXXX") || return
  env PYTHONPATH="$lint:python" TMPDIR="$folder" "$python" -m pytest -q -p no:cacheprovider --basetemp "$folder/pytest" test/python/unit
  code=$?
  left=$(cd "$folder" && find . -mindepth 1 -maxdepth 1 ! -name pytest)
  rm -rf "$folder"
  [ -z "$left" ] && return "$code"
  printf 'left in the temporary folder: %s\n' "$left"
  return 1
}

# give_up_on_failed: ends the run when a check failed.
give_up_on_failed() {
  [ -z "$checks_failed" ] && return
  printf '\nFailed:%s\n' "$checks_failed" >&2
  exit 1
}
