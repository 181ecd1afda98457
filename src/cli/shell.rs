//! What Tab offers in a shell: scripts for bash, zsh and fish, from the table of commands. They ask no server, so names
//! that are stored are not offered.

use super::command::{Action, Command, Names};
use super::commands::TABLE;
use super::options::{END, Flag, PATH, Value};

/// The name that the client is installed under.
const INSTALLED: &str = "shareit";
/// What may take the place of DIR.
const ALONE: &str = "keygen completion --help --version";
/// The shells that there are scripts for.
pub(super) const SHELLS: [&str; 3] = ["bash", "zsh", "fish"];

/// The script for a shell, for the installed name and the one that this program was called by; `None` for others.
pub(super) fn script(shell: &str, program: &str) -> Option<String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
    let other = program.rsplit('/').next().filter(|name| *name != INSTALLED && name.chars().all(is_word));
    let programs: Vec<&str> = [INSTALLED].into_iter().chain(other.filter(|name| !name.is_empty())).collect();
    match shell {
        "bash" => Some(bash(&programs)),
        "zsh" => Some(zsh(&programs)),
        "fish" => Some(fish(&programs)),
        _ => None,
    }
}

/// What the arguments of a command are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Arguments {
    /// Nothing that is known here.
    Unknown,
    /// Names below DIR.
    Local,
    Commands,
}

fn arguments(command: &Command) -> Arguments {
    match (&command.action, command.names) {
        (Action::Help, _) => Arguments::Commands,
        (Action::Run(_), Names::Local) => Arguments::Local,
        _ => Arguments::Unknown,
    }
}

/// A command's names, in lower case.
fn names(command: &Command) -> impl Iterator<Item = String> {
    std::iter::once(command.name).chain(command.aliases.iter().copied()).map(str::to_ascii_lowercase)
}

fn options(command: &Command) -> impl Iterator<Item = (&'static Flag, &'static str)> {
    command.listed_options().copied().filter(|(flag, _)| flag.name != END.name)
}

/// The option's value: `Some(true)` if it is a local path, `Some(false)` if it is something else. What is uploaded goes
/// to a path on the servers.
fn value(command: &Command, flag: &Flag) -> Option<bool> {
    match flag.value {
        Value::Needed(label) => Some(label == PATH && command.names == Names::Stored),
        Value::None | Value::Optional(_) => None,
    }
}

fn joined(words: impl Iterator<Item = String>, between: &str) -> String {
    words.collect::<Vec<_>>().join(between)
}

/// In single quotes, for all three shells: none of our texts has a backslash.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn summary(command: &Command) -> &'static str {
    command.forms.first().map_or("", |(_, does)| does)
}

fn command_names() -> String {
    joined(TABLE.into_iter().map(|command| command.name.to_owned()), " ")
}

const BASH: &str = r#"# Completion of @PROGRAMS@ for bash, made by `shareit completion bash`.

# Sets $word to what the shell would read $1 as.
_shareit_read() {
    local rest=$1 quote= first
    word=
    while [[ $rest ]]; do
        first=${rest:0:1} rest=${rest:1}
        if [[ $first == "$quote" ]]; then
            quote=
        elif [[ $first == '\' && $quote != "'" ]]; then
            word+=${rest:0:1} rest=${rest:1}
        elif [[ -z $quote && $first == [\"\'] ]]; then
            quote=$first
        else
            word+=$first
        fi
    done
}

# Words that begin like $cur; case does not matter.
_shareit_words() {
    local word
    for word in $1; do
        [[ ${word,,} == "${cur,,}"* ]] && COMPREPLY+=("$word")
    done
}

# Files below $1, or anywhere; with $2 as -d only folders.
_shareit_files() {
    local base=$1 path
    [[ $cur == /* ]] && base=
    compopt -o filenames
    while IFS= read -r path; do
        if [[ -d $path ]]; then
            path+=/
            compopt -o nospace
        fi
        COMPREPLY+=("${path#"$base"}")
    done < <(compgen "${2:--f}" -- "$base$cur")
}

_shareit() {
    local word cur dir previous=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[3],,} options= names= path=
    _shareit_read "${COMP_WORDS[COMP_CWORD]}"
    cur=$word
    _shareit_read "${COMP_WORDS[1]}"
    dir=$word
    COMPREPLY=()
    case $COMP_CWORD in
        1)
            _shareit_files '' -d
            _shareit_words '@ALONE@'
            return
            ;;
        2)
            if [[ $dir == completion ]]; then _shareit_words '@SHELLS@'; else _shareit_files ''; fi
            return
            ;;
        3)
            _shareit_words '@COMMANDS@'
            return
            ;;
    esac
    case $command in
@CASES@    esac
    if [[ " $path " == *" $previous "* ]]; then
        _shareit_files ''
    elif [[ $cur == -* ]]; then
        _shareit_words "$options"
    elif [[ $names == local ]]; then
        [[ $dir == '~'* ]] && dir=$HOME${dir:1}
        _shareit_files "${dir%/}/"
    elif [[ $names == commands ]]; then
        _shareit_words '@COMMANDS@'
    fi
}

complete -F _shareit @PROGRAMS@
"#;

fn bash(programs: &[&str]) -> String {
    let case = |command: &Command| {
        let listed = joined(options(command).map(|(flag, _)| flag.name.to_owned()), " ");
        let with = |is_path: bool| {
            let flags = options(command).filter(|(flag, _)| value(command, flag) == Some(is_path));
            flags.map(|(flag, _)| flag.name).collect::<Vec<_>>()
        };
        let mut lines = vec![format!("options='{listed}'")];
        match arguments(command) {
            Arguments::Local => lines.push("names=local".to_owned()),
            Arguments::Commands => lines.push("names=commands".to_owned()),
            Arguments::Unknown => {}
        }
        if !with(true).is_empty() {
            lines.push(format!("path='{}'", with(true).join(" ")));
        }
        if !with(false).is_empty() {
            lines.push(format!("[[ ' {} ' == *\" $previous \"* ]] && return", with(false).join(" ")));
        }
        let body: String = lines.into_iter().map(|line| format!("            {line}\n")).collect();
        format!("        {})\n{body}            ;;\n", joined(names(command), " | "))
    };
    BASH.replace("@CASES@", &TABLE.into_iter().map(case).collect::<String>())
        .replace("@ALONE@", ALONE)
        .replace("@SHELLS@", &SHELLS.join(" "))
        .replace("@COMMANDS@", &command_names())
        .replace("@PROGRAMS@", &programs.join(" "))
}

const ZSH: &str = r#"#compdef @PROGRAMS@
# Completion of @PROGRAMS@ for zsh, made by `shareit completion zsh`.

_shareit_local() {
    if [[ $PREFIX == /* ]]; then _files; else _files -W "${shareit_dir:a}"; fi
}

_shareit_commands() {
    local -a commands=(
@COMMANDS@    )
    _describe -t commands command commands -M 'm:{a-zA-Z}={A-Za-z}'
}

_shareit() {
    local shareit_dir=${(Q)words[2]} curcontext=$curcontext
    shareit_dir=${shareit_dir/#\~/$HOME}
    case $CURRENT in
        2)
            _alternative 'folders:DIR:_files -/' 'words:word:(@ALONE@)'
            return
            ;;
        3)
            if [[ $shareit_dir == completion ]]; then compadd @SHELLS@; else _files; fi
            return
            ;;
        4)
            _shareit_commands
            return
            ;;
    esac
    local command=${(L)words[4]}
    words=("${(@)words[4,-1]}")
    ((CURRENT -= 3))
    case $command in
@CASES@    esac
}

if [[ $funcstack[1] == _shareit ]]; then _shareit "$@"; else compdef _shareit @PROGRAMS@; fi
"#;

fn zsh(programs: &[&str]) -> String {
    // Within a description in brackets these have a meaning.
    let described = |text: &str| text.replace('[', "\\[").replace(']', "\\]").replace(':', "\\:");
    let commands = |command: &Command| {
        format!("        {}\n", quoted(&format!("{}:{}", command.name, summary(command))))
    };
    let case = |command: &Command| {
        let mut specs: Vec<String> = options(command)
            .map(|(flag, means)| {
                let value = match (flag.value, value(command, flag)) {
                    (Value::Needed(label), Some(true)) => format!(":{label}:_files"),
                    (Value::Needed(label), _) => format!(":{label}: "),
                    _ => String::new(),
                };
                // `*`: more than once.
                quoted(&format!("*{}[{}]{value}", flag.name, described(means)))
            })
            .collect();
        match arguments(command) {
            Arguments::Local => specs.push("'*:name:_shareit_local'".to_owned()),
            Arguments::Commands => specs.push("':command:_shareit_commands'".to_owned()),
            Arguments::Unknown => specs.push("'*: : '".to_owned()),
        }
        let body: String = specs.into_iter().map(|spec| format!(" \\\n                {spec}")).collect();
        format!("        {})\n            _arguments -S{body}\n            ;;\n", joined(names(command), "|"))
    };
    ZSH.replace("@CASES@", &TABLE.into_iter().map(case).collect::<String>())
        .replace("@COMMANDS@", &TABLE.into_iter().map(commands).collect::<String>())
        .replace("@ALONE@", ALONE)
        .replace("@SHELLS@", &SHELLS.join(" "))
        .replace("@PROGRAMS@", &programs.join(" "))
}

const FISH: &str = r#"# Completion of @PROGRAMS@ for fish, made by `shareit completion fish`.

# Whether so many words are before the cursor.
function __shareit_after
    test (count (commandline -opc)) -eq $argv[1]
end

# Whether the command is one of these.
function __shareit_command
    set -l words (commandline -opc)
    test (count $words) -ge 4; and contains -- (string lower -- $words[4]) $argv
end

# Names below DIR.
function __shareit_local
    set -l token (string unescape -- (commandline -ct)); or set -l token ''
    set -l dir (string replace -r '^~' $HOME -- (commandline -opc)[2])/
    string match -q '/*' -- $token; and set dir ''
    for path in $dir$token*
        set -l name (string sub -s (math (string length -- $dir) + 1) -- $path)
        test -d $path; and set name $name/
        echo $name
    end
end

for program in @PROGRAMS@
    complete -c $program -f
    complete -c $program -n '__shareit_after 1' -a '(__fish_complete_directories (commandline -ct))'
    complete -c $program -n '__shareit_after 1' -a '@ALONE@'
    complete -c $program -n '__shareit_after 2; and test (commandline -opc)[2] != completion' -F
    complete -c $program -n '__shareit_after 2; and test (commandline -opc)[2] = completion' -a '@SHELLS@'
@LINES@end
"#;

fn fish(programs: &[&str]) -> String {
    let mut lines = String::new();
    let mut line =
        |when: &str, what: &str| lines += &format!("    complete -c $program -n {} {what}\n", quoted(when));
    for command in TABLE {
        line("__shareit_after 3", &format!("-a {} -d {}", command.name, quoted(summary(command))));
    }
    for command in TABLE {
        let when = format!("__shareit_command {}", joined(names(command), " "));
        for (flag, means) in options(command) {
            let (kind, name) = match flag.name.strip_prefix("--") {
                Some(name) => ("-l", name),
                None => ("-s", flag.name.trim_start_matches('-')),
            };
            let value = match value(command, flag) {
                Some(true) => " -r -F",
                Some(false) => " -x",
                None => "",
            };
            line(&when, &format!("{kind} {name}{value} -d {}", quoted(means)));
        }
        match arguments(command) {
            Arguments::Local => line(&when, "-a '(__shareit_local)'"),
            Arguments::Commands => line(&when, &format!("-a {}", quoted(&command_names()))),
            Arguments::Unknown => {}
        }
    }
    FISH.replace("@LINES@", &lines)
        .replace("@ALONE@", ALONE)
        .replace("@SHELLS@", &SHELLS.join(" "))
        .replace("@PROGRAMS@", &programs.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_script_has_every_command_and_option_and_the_name_that_the_program_was_called_by() {
        for shell in SHELLS {
            let script = script(shell, "./Client").unwrap();
            for command in TABLE {
                assert!(script.contains(command.name), "{shell}: {command:?}");
                for (flag, _) in options(command) {
                    let short = flag.name.trim_start_matches('-');
                    assert!(
                        script.contains(flag.name) || script.contains(&format!(" {short} ")),
                        "{shell}: {short}"
                    );
                }
            }
            let is_filled = !script.split('@').skip(1).any(|rest| rest.starts_with(char::is_uppercase));
            assert!(script.contains("Client") && is_filled, "{shell}: {script}");
        }
        assert_eq!(script("tcsh", "Client"), None);
        assert!(!script("bash", "/tmp/$(reboot)").unwrap().contains("reboot"));
    }
}
