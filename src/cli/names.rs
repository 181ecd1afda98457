//! Delete and Move, the commands after which a name is gone; and names that are not what was meant.

use std::io::{self, IsTerminal};

use super::FAILED;
use super::command::{self, Options};
use super::prompt::read_command;
use super::session::{ALL, Session, join, without_slash};
use super::tally::Tally;
use super::text::counted;
use crate::client::{ClientError, Files, Shown};
use crate::name::{FilePath, printable};

impl Session<'_> {
    pub(super) fn delete(
        &mut self,
        what: &str,
        folder: Option<&str>,
        options: Options,
    ) -> Result<u8, ClientError> {
        let name = join(folder, what)?;
        let files = match self.client.find_to_delete(&name, options.recursive) {
            Err(ClientError::IsFolder(folder)) if folder.is_root() => {
                self.console.error(&"'.' is everything you have", Some("-r deletes it all".into()));
                return Ok(FAILED);
            }
            files => files?,
        };
        let Files { files, unseen } = files;
        if self.is_no_folder(what, &name, &files) || (name == ALL && !self.may_delete_all(files.len())) {
            return Ok(FAILED);
        }
        let mut tally = Tally::of("deleted", files.len());
        for result in self.client.delete(&files) {
            match result {
                Ok(path) => self.tell(tally.done(&path, None, "")),
                Err(error) => self.fail(&mut tally, error),
            }
        }
        Ok(self.conclude_seen(&tally, unseen))
    }

    /// Whether a file was written as a folder is, with a slash behind it; that is an error then.
    pub(super) fn is_no_folder(&self, what: &str, name: &str, files: &[FilePath]) -> bool {
        let no_folder = what.ends_with('/') && files.iter().any(|path| path.as_str() == name);
        if no_folder {
            let hint = format!("did you mean {}?", command::quoted(without_slash(what)));
            self.console.error(&format!("'{}' is a file, not a folder", printable(name)), Some(hint));
        }
        no_folder
    }

    /// Asks who sits at a terminal: one word more or less is all that lies between `Delete -r .` and another.
    fn may_delete_all(&self, files: usize) -> bool {
        if !io::stdin().is_terminal() || !self.console.err_is_terminal() {
            return true;
        }
        self.console.end_work();
        self.console.prompt(&format!("delete all {}? [y/N] ", counted(files, "file")));
        let answer = read_command(&mut io::stdin().lock()).and_then(Result::ok).unwrap_or("\n".into());
        if !answer.ends_with('\n') {
            self.console.prompt("\n");
        }
        let yes = ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str());
        if yes {
            self.console.begin_work();
        } else {
            self.console.done(&"nothing was deleted");
        }
        yes
    }

    pub(super) fn rename(&mut self, old: &str, new: &str) -> Result<u8, ClientError> {
        let parse = |name: &str| FilePath::parse(name).map_err(|why| ClientError::Name(name.to_owned(), why));
        let (from, to) = (parse(without_slash(old))?, parse(without_slash(new))?);
        let into_folder = |session: &Self, error: &ClientError| {
            let name = format!("{}/{}", to.as_str(), from.file_name());
            session.console.error(error, Some(format!("did you mean {}?", command::quoted(&name))));
            Ok(FAILED)
        };
        let moved = match (parse(old), parse(new)) {
            (Err(error), _) if !self.is_folder(&from) => return Err(error),
            (Err(_), _) => Err(ClientError::NotFound(from.as_str().to_owned())),
            (_, Err(error)) => return into_folder(self, &error),
            _ => self.client.rename(&from, &to),
        };
        match moved {
            Err(ClientError::NotFound(_) | ClientError::OutOfSight(..)) if self.is_folder(&from) => {
                self.console.error(&format!("'{from}' is a folder; Move takes files only"), None);
                return Ok(FAILED);
            }
            Err(error @ ClientError::Conflict(_)) if self.is_folder(&to) => {
                return into_folder(self, &error);
            }
            moved => moved?,
        }
        self.console.done(&format!("moved {from} to {to}"));
        Ok(0)
    }

    /// Whether the servers have a folder of this name.
    fn is_folder(&mut self, path: &FilePath) -> bool {
        let is_it = |shown: &Shown| matches!(shown, Shown::Folder(name) if name.as_str() == path.file_name());
        self.client.show(&path.folder()).is_ok_and(|listing| listing.entries.iter().any(is_it))
    }
}
