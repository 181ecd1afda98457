//! What the program was called by: its name in messages, and the words of a command line that can be pasted.

use std::ffi::OsString;
use std::sync::OnceLock;

use crate::name::is_unprintable;

/// Longest name, in bytes: it begins each message.
const MAX_NAME: usize = 64;
/// What the programs are called if nothing usable says otherwise.
pub(super) const CLIENT: &str = "Client";
pub(super) const SERVER: &str = "Server";

/// How this process was called.
static CALLED: OnceLock<Called> = OnceLock::new();

struct Called {
    /// As it was typed, perhaps with a path.
    by: String,
    /// The last part of that.
    name: String,
}

impl Called {
    /// By the first word of the command line; by `usual` if that is missing or could not be pasted.
    fn of(word: Option<OsString>, usual: &str) -> Self {
        let word = word.and_then(|word| word.into_string().ok());
        let is_name =
            |name: &str| !["", ".", ".."].contains(&name) && name.len() <= MAX_NAME && !name.starts_with('-');
        let named = word.filter(|word| !word.contains(is_unprintable)).and_then(|by| {
            let name = by.rsplit('/').next().filter(|name| is_name(name))?.to_owned();
            Some(Self { by, name })
        });
        named.unwrap_or_else(|| Self { by: usual.to_owned(), name: usual.to_owned() })
    }
}

/// Notes how this process was called. Only the first time counts.
pub(super) fn set(word: Option<OsString>, usual: &str) {
    CALLED.get_or_init(|| Called::of(word, usual));
}

fn called() -> &'static Called {
    CALLED.get_or_init(|| Called::of(None, CLIENT))
}

/// The name that begins each message.
pub(super) fn name() -> &'static str {
    &called().name
}

/// A command line of this program that can be pasted into a shell.
pub(super) fn command_line(arguments: &[&str]) -> String {
    let words = std::iter::once(called().by.as_str()).chain(arguments.iter().copied());
    words.map(shell_word).collect::<Vec<_>>().join(" ")
}

/// A word as a shell takes it.
pub(super) fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@%,:=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_named_by_the_last_part_of_what_it_was_called_by() {
        for (word, by, name) in [
            ("./Client", "./Client", "Client"),
            ("shareit", "shareit", "shareit"),
            ("/usr/bin/my client", "/usr/bin/my client", "my client"),
            ("", "Client", "Client"),
            ("bin/", "Client", "Client"),
            ("..", "Client", "Client"),
            ("-shareit", "Client", "Client"),
            ("a\nb", "Client", "Client"),
            (&"x".repeat(MAX_NAME + 1), "Client", "Client"),
        ] {
            let called = Called::of(Some(word.into()), CLIENT);
            assert_eq!((called.by.as_str(), called.name.as_str()), (by, name), "{word:?}");
        }
        assert_eq!(Called::of(None, SERVER).name, "Server");
    }

    #[test]
    fn a_word_for_a_shell_is_quoted_if_it_must_be() {
        for (word, written) in [
            ("home.conf", "home.conf"),
            ("../a b.conf", "'../a b.conf'"),
            ("it's", "'it'\\''s'"),
            ("~/x", "'~/x'"),
            ("", "''"),
        ] {
            assert_eq!(shell_word(word), written);
        }
    }
}
