//! ShareIt: four real servers and a real client, with a user as `Server adduser` makes it.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Fallible;
use crate::contest::{Contestant, Job};
use crate::process::{Daemon, output, with_descriptors};
use crate::scratch::Scratch;

pub(crate) const USER: &str = "bench";
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// The two programs.
#[derive(Clone)]
pub(crate) struct Build {
    pub(crate) name: String,
    pub(crate) server: PathBuf,
    pub(crate) client: PathBuf,
}

/// Servers `Server1` to `Server4`, and a folder for the client to work in.
pub(crate) struct Cluster {
    build: Build,
    pub(crate) servers: Vec<Daemon>,
    pub(crate) ports: Vec<u16>,
    pub(crate) folder: PathBuf,
}

impl Cluster {
    /// A cluster that runs, with nothing stored.
    pub(crate) fn start(build: &Build, scratch: &Scratch) -> Fallible<Self> {
        let mut cluster = Self::new(build, scratch)?;
        cluster.run(scratch, None)?;
        Ok(cluster)
    }

    /// A cluster that does not run yet.
    pub(crate) fn new(build: &Build, scratch: &Scratch) -> Fallible<Self> {
        let folder = scratch.folder(&build.name)?;
        let cluster = Self { build: build.clone(), servers: Vec::new(), ports: Vec::new(), folder };
        fs::create_dir(cluster.root())?;
        cluster.add_user()?;
        Ok(cluster)
    }

    /// Starts the servers, if need be with room for so many open files and sockets.
    pub(crate) fn run(&mut self, scratch: &Scratch, descriptors: Option<usize>) -> Fallible<()> {
        for number in 1..=4 {
            let mut command = match descriptors {
                Some(count) => with_descriptors(count, &self.build.server),
                None => Command::new(&self.build.server),
            };
            command.arg(self.root()).arg(format!("Server{number}")).arg("0");
            let log = self.folder.join(format!("Server{number}.log"));
            let mut server = Daemon::start(&mut command, log, scratch.watch())?;
            let port =
                |log: &str| log.split_once("listening on 127.0.0.1:")?.1.split_once('\n')?.0.parse().ok();
            self.ports.push(server.wait_for("a port", port)?);
            self.servers.push(server);
        }
        self.write_conf("direct.conf", &self.ports)?;
        Ok(())
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.join("Servers")
    }

    fn add_user(&self) -> Fallible<()> {
        let mut command = Command::new(&self.build.server);
        command.arg("adduser").arg(self.root()).arg(USER);
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            writeln!(stdin, "{PASSWORD}")?;
        }
        if child.wait()?.success() { Ok(()) } else { Err("adduser failed".into()) }
    }

    /// A .conf as most people have it, for servers at these ports.
    pub(crate) fn write_conf(&self, name: &str, ports: &[u16]) -> Fallible<PathBuf> {
        let mut conf = String::new();
        for (number, port) in (1..).zip(ports) {
            writeln!(conf, "Server{number} 127.0.0.1:{port}")?;
        }
        writeln!(conf, "Username {USER}\nPassword {PASSWORD}")?;
        let path = self.folder.join(name);
        fs::write(&path, conf)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(path)
    }

    /// The client with this .conf; words follow.
    pub(crate) fn client(&self, conf: &Path) -> Command {
        let mut command = Command::new(&self.build.client);
        command.current_dir(&self.folder).arg(".").arg(conf);
        command
    }

    pub(crate) fn direct_client(&self) -> Command {
        self.client(&self.folder.join("direct.conf"))
    }

    /// Where a download of this name is.
    pub(crate) fn download(&self, path: &str) -> PathBuf {
        self.folder.join("Downloads").join(USER).join(path)
    }
}

/// The last part of a path, as it is called on the servers.
pub(crate) fn base(source: &Path) -> Fallible<&str> {
    source.file_name().and_then(|name| name.to_str()).ok_or_else(|| "a source without a name".into())
}

/// ShareIt as a contestant.
pub(crate) struct Ours(pub(crate) Cluster);

impl Contestant for Ours {
    fn name(&self) -> String {
        self.0.build.name.clone()
    }

    fn does(&self) -> &'static str {
        "4 servers, 2 copies, encrypted, checked by both ends, synced"
    }

    fn is_peer(&self) -> bool {
        false
    }

    fn up(&mut self, job: &Job<'_>) -> Fallible<Command> {
        let mut command = self.0.direct_client();
        command.arg("Upload").arg(job.source).arg(job.tag);
        Ok(command)
    }

    fn down(&mut self, job: &Job<'_>) -> Fallible<Command> {
        let mut command = self.0.direct_client();
        command.arg("Download").arg(format!("{}/{}", job.tag, base(job.source)?));
        Ok(command)
    }

    fn arrived(&self, job: &Job<'_>) -> Option<PathBuf> {
        Some(self.0.download(&format!("{}/{}", job.tag, base(job.source).ok()?)))
    }

    fn forget(&mut self, job: &Job<'_>) -> Fallible<()> {
        output(self.0.direct_client().args(["Delete", "-r", job.tag])).map(drop)
    }
}
