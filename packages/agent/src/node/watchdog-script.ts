/**
 * The dead-man switch, for /bin/sh: it needs 1 MB and outlives the agent. Arguments: data folder, milliseconds after
 * the sending of the last renewal at which tasks are ended, pid and start time of the agent, boot id, folder with secrets.
 *
 * - The file `watchdog` holds the pid and start time of the one in charge: a newer watchdog takes over by replacing it,
 *   and removing it, or the whole folder, ends the watchdog within a second.
 * - Times are /proc/uptime's, which nobody sets and which counts the time a machine was suspended.
 * - A lease file that is missing, cut off, from the future or from another boot is a lease that has run out.
 * - A process is killed only under its own start time. A group whose leader has ended keeps the leader's pid from being
 *   used again, so it is still the workload's unless the pid has a new owner.
 * - Only workloads labelled with a task are touched. A label's value cannot fake the label, as JSON escapes its quotes.
 * - It ends when the agent says that it has left (SIGTERM) or is gone, and no task runs. An agent that is gone without
 *   a word may have been starting a workload, so then the end of the lease is waited for.
 */
export const WATCHDOG_SCRIPT = `
dir=$1 limit=$2 agent=$3 agent_ticks=$4 boot=$5 secrets=$6 gone=
trap 'gone=1' TERM INT HUP

first_line() { line=; { read -r line <"$1"; } 2>/dev/null; [ -n "$line" ]; }

ticks_of() {
  ticks=
  first_line "/proc/$1/stat" || return 0
  set -- \${line##*) }
  case $1 in Z | X) ;; *) ticks=\${20} ;; esac
}

ran_out() {
  first_line "$dir/lease" || return 0
  at=\${line%% *}
  case $at in '' | 0* | *[!0-9]*) return 0 ;; esac
  [ "\${line#* }" = "$boot" ] || return 0
  read -r up idle </proc/uptime
  age=$((\${up%.*}\${up#*.}0 - at))
  [ "$age" -lt 0 ] || [ "$age" -ge "$limit" ]
}

is_task() {
  first_line "$1/meta.json" || return 1
  case $line in *'"kedge.task":"'*) ;; *) return 1 ;; esac
  case $line in *'"bootId":"'"$boot"'"'*) ;; *) return 1 ;; esac
}

visit_processes() {
  for file in "$dir"/processes/*/process; do
    folder=\${file%/process}
    [ -s "$file" ] && [ ! -s "$folder/exit" ] && is_task "$folder" && first_line "$file" || continue
    pid=\${line%% *}
    set -- "$1" \${line##*) }
    started=\${21}
    ticks_of "$pid"
    [ -z "$ticks" ] || [ "$ticks" = "$started" ] || continue
    kill -0 "-$pid" 2>/dev/null || continue
    left=1
    [ "$1" = look ] || kill -KILL "-$pid" 2>/dev/null
  done
}

visit_containers() {
  for file in "$dir"/tasks/*/container.*; do
    first_line "$file" || continue
    pid=\${line%% *}
    ticks_of "$pid" # overwrites line
    first_line "$file"
    [ "$line" = "$pid $ticks $boot" ] || continue
    left=1
    [ "$1" = look ] || kill -KILL "$pid" 2>/dev/null
  done
}

visit() { left=; visit_processes "$1"; visit_containers "$1"; }

forget_secrets() { [ ! -d "$secrets" ] || rm -rf "$secrets"; }

is_agent_there() { [ -z "$gone" ] && ticks_of "$agent" && [ "$ticks" = "$agent_ticks" ]; }

ticks_of $$
own="$$ $ticks"
echo "$own" >"$dir/watchdog.$$" && mv "$dir/watchdog.$$" "$dir/watchdog" || exit 1
while first_line "$dir/watchdog" && [ "$line" = "$own" ]; do
  left=1
  if ran_out; then visit kill; forget_secrets; visit look
  elif [ -n "$gone" ]; then visit look
  fi
  if [ -z "$left" ] && ! is_agent_there; then forget_secrets; rm -f "$dir/watchdog"; exit 0; fi
  sleep 1 &
  wait $!
done
`;
