//! What may help after an error: above all the file that a mistyped name may have meant.

use super::command::{Command, quoted};
use super::session::Session;
use super::suggest::{inside, local, stored};
use crate::client::{ClientError, LocalError};

const IN_QUOTES: &str = "a name with spaces is written in quotes";

impl Session<'_> {
    /// What to do about an error: more than the client can say, which does not know how a command was written.
    pub(super) fn hint(&mut self, error: &ClientError, command: &Command) -> Option<String> {
        let did_you_mean = |name: &str| format!("did you mean {}?", quoted(name));
        // Two words may be one name.
        let folder = match command {
            Command::Upload { folder, .. }
            | Command::Download { folder, .. }
            | Command::Delete { folder, .. } => folder.as_ref(),
            _ => None,
        };
        match error {
            ClientError::Local(LocalError::Missing(path)) => {
                let sought = format!("looked for {}", self.dir.join(path).display());
                let in_one = folder.map(|folder| format!("{} {folder}", path.display()));
                if let Some(name) = in_one.filter(|name| self.dir.join(name).exists()) {
                    return Some(did_you_mean(&name));
                }
                if let Some(name) = inside(&self.dir, path) {
                    return Some(format!("{sought}; {}", did_you_mean(&name)));
                }
                let near = local(&self.dir, path).map(|name| did_you_mean(&name));
                near.or_else(|| match folder {
                    Some(_) => Some(format!("{sought}; {IN_QUOTES}")),
                    None if path.is_relative() => Some(format!("{sought}; paths are looked up in DIR")),
                    None => None,
                })
            }
            // It costs another question to the servers; a script that tries many names can do without, with -q.
            ClientError::NotFound(name) if !self.console.is_quiet() => {
                let near = stored(name, |folder| Some(self.client.show(folder).ok()?.entries));
                let list = error.hint().map(|hint| match folder {
                    Some(_) => format!("{hint}; {IN_QUOTES}"),
                    None => hint,
                });
                near.map(|name| did_you_mean(&name)).or(list)
            }
            _ => error.hint(),
        }
    }
}
