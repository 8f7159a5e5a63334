import type { Words } from './words.ts';

/** Where the package has what all shells ask. */
export const candidatesAt = 'usr/lib/vs-tools/completion/candidates';
const asked = `/${candidatesAt}`;

const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
const branch = ({ path, below, options, values, arguments: places, more }: Words): string =>
  `    ${quote(path)}) below=${quote(below.join(' '))} options=${quote(options.join(' '))} values=${quote(
    Object.entries(values)
      .map(([option, kind]) => `${option}=${kind}`)
      .join(' '),
  )} places=${quote(places.map((kind) => kind || '-').join(' '))} more=${more ? 'yes' : 'no'} ;;`;

/**
 * The sh program that all shells ask: `candidates WORD... CURRENT` (the words behind `vs`) prints what may stand there, one a
 * line, or `:file`. Only names of vservers and hosts need the pool, and it asks no longer than two seconds.
 */
export const candidatesScript = (all: Words[]): string => `#!/bin/sh
# candidates WORD... CURRENT: what may stand in the place of CURRENT behind "vs", one a line; ":file" for files. Generated.
set -f
look() {
  below= options=--help values= places= more=no
  case $1 in
${all.map(branch).join('\n')}
  esac
}
names() {
  case $1 in
    vserver) timeout 2 vs scan --json </dev/null 2>/dev/null | sed -n 's/.*"vserver": *"\\([a-z0-9-]*\\)".*/\\1/p' ;;
    host) timeout 2 vs host list --json </dev/null 2>/dev/null | sed -n 's/.*"host": *"\\([a-z0-9-]*\\)".*/\\1/p' ;;
    file) echo :file ;;
  esac
}
path= place=0 taking= ended=no
look ''
while [ $# -gt 1 ]; do
  word=$1
  shift
  if [ -n "$taking" ]; then taking= && continue; fi
  case $ended$word in
    no--) ended=yes && continue ;;
    no-*=*) continue ;;
    no-*)
      case " $values " in *" $word="*) taking=$word ;; esac
      continue ;;
  esac
  case " $below " in
    *" $word "*)
      path=\${path:+$path }$word
      look "$path" ;;
    *) place=$((place + 1)) ;;
  esac
done
current=\${1-}
if [ -n "$taking" ]; then
  for one in $values; do case $one in "$taking="*) names "\${one#*=}" ;; esac; done
else
  case $ended$current in
    no-*) printf '%s\\n' $options ;;
    *)
      if [ "$place" = 0 ] && [ -n "$below" ]; then
        printf '%s\\n' $below
      else
        kind= at=0
        for one in $places; do
          if [ "$at" = "$place" ]; then kind=$one; fi
          at=$((at + 1))
        done
        if [ -z "$kind" ] && [ "$more" = yes ]; then kind=$one; fi
        names "$kind"
      fi ;;
  esac
fi | while read -r line; do
  case $line in :file | "$current"*) printf '%s\\n' "$line" ;; esac
done | sort -u
`;

export const bashCompletion = `# completion of vs for bash
_vs() {
  local answer
  answer=$(${asked} "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
  if [ "$answer" = :file ]; then
    compopt -o default
    COMPREPLY=()
  else
    mapfile -t COMPREPLY <<<"$answer"
    [ -n "$answer" ] || COMPREPLY=()
  fi
}
complete -F _vs vs
`;

export const zshCompletion = `#compdef vs
# completion of vs for zsh
local -a answer
answer=(\${(f)"$(${asked} "\${(@)words[2,CURRENT]}" 2>/dev/null)"})
if [[ "$answer" == :file ]]; then
  _files
else
  compadd -a answer
fi
`;

export const fishCompletion = `# completion of vs for fish
function __vs_candidates
    set -l words (commandline -opc)
    set -l answer (${asked} $words[2..-1] (commandline -ct | string collect --allow-empty) 2>/dev/null)
    if test "$answer" = ":file"
        __fish_complete_path (commandline -ct)
    else
        string join \\n -- $answer
    end
end
complete -c vs -f -a '(__vs_candidates)'
`;
