//! scp to an sshd of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{alone, free_port};
use crate::Fallible;
use crate::contest::{Contestant, Job};
use crate::process::{Daemon, output, path_of};
use crate::scratch::Scratch;

pub(crate) struct Scp {
    _server: Daemon,
    pub(crate) port: u16,
    folder: PathBuf,
}

impl Scp {
    pub(crate) fn start(scratch: &Scratch) -> Fallible<Self> {
        let folder = scratch.folder("scp")?;
        for key in ["host_key", "user_key"] {
            let mut keygen = Command::new("ssh-keygen");
            output(keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(folder.join(key)))?;
        }
        fs::copy(folder.join("user_key.pub"), folder.join("authorized"))?;
        let port = free_port()?;
        let home = folder.display();
        let conf = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {home}/host_key\nAuthorizedKeysFile {home}/authorized\n\
             StrictModes no\nUsePAM no\nPidFile none\nSubsystem sftp internal-sftp\n"
        );
        fs::write(folder.join("sshd.conf"), conf)?;
        for name in ["stored", "fetched"] {
            fs::create_dir(folder.join(name))?;
        }
        // sshd starts itself again for each connection, and insists on its whole path for that.
        let mut sshd = Command::new(path_of("sshd").ok_or("sshd is not installed")?);
        sshd.args(["-D", "-e", "-f"]).arg(folder.join("sshd.conf"));
        let mut server = Daemon::start(&mut sshd, folder.join("log"), scratch.watch())?;
        server.wait_for("sshd's readiness", |log| log.contains("Server listening on").then_some(()))?;
        Ok(Self { _server: server, port, folder })
    }

    /// scp, and ssh's options for a server at this port; paths follow.
    fn scp(&self, port: u16) -> Command {
        let mut command = alone("scp", &self.folder);
        let home = self.folder.display();
        command.args(["-q", "-r", "-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"]);
        command.arg("-o").arg(format!("UserKnownHostsFile={home}/known")).arg("-o").arg("LogLevel=ERROR");
        command.arg("-i").arg(self.folder.join("user_key")).arg("-P").arg(port.to_string());
        command
    }

    /// To a server at this port, under this name.
    pub(crate) fn up_at(&self, port: u16, source: &Path, name: &str) -> Command {
        let mut command = self.scp(port);
        let target = self.folder.join("stored").join(name);
        command.arg(source).arg(format!("127.0.0.1:{}", target.display()));
        command
    }

    pub(crate) fn down_at(&self, port: u16, name: &str) -> Command {
        let mut command = self.scp(port);
        let source = self.folder.join("stored").join(name);
        command.arg(format!("127.0.0.1:{}", source.display())).arg(self.folder.join("fetched"));
        command
    }
}

impl Contestant for Scp {
    fn name(&self) -> String {
        "scp".into()
    }

    fn does(&self) -> &'static str {
        "1 server, 1 copy, encrypted on the wire alone, not synced"
    }

    fn up(&mut self, job: &Job<'_>) -> Fallible<Command> {
        Ok(self.up_at(self.port, job.source, job.tag))
    }

    fn down(&mut self, job: &Job<'_>) -> Fallible<Command> {
        Ok(self.down_at(self.port, job.tag))
    }

    fn arrived(&self, job: &Job<'_>) -> Option<PathBuf> {
        Some(self.folder.join("fetched").join(job.tag))
    }

    fn forget(&mut self, job: &Job<'_>) -> Fallible<()> {
        Ok(fs::remove_file(self.folder.join("stored").join(job.tag))?)
    }
}
