//! ShareIt: a small distributed file store.
//!
//! A client splits a file into four pieces, encrypts them with keys that no server sees, and puts each on two of a few
//! plain servers, or with parity one piece and an XOR on each of four, so that any one server can die, be stolen or
//! lie.
//!
//! # As a library
//!
//! A program that stores and fetches files needs [`config`], [`name`] and [`client`]; [`server`] runs a server in any
//! process, as here:
//!
//! ```
//! use shareit::client::{Client, Destination, Selection, Silent, Terms, find};
//! use shareit::config::Config;
//! use shareit::name::{FilePath, FolderPath, ServerName, UserName};
//! use shareit::pattern::Excluded;
//! use shareit::server::{Server, add_user};
//! use std::{fs, io, sync::Arc, thread};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let home = std::env::temp_dir().join(format!("shareit-example-{}", std::process::id()));
//! # let (root, dir, fetched) = (home.join("Servers"), home.join("mine"), home.join("fetched"));
//! # let _ = fs::remove_dir_all(&home);
//! # for folder in [&root, &dir] { fs::create_dir_all(folder)?; }
//! // Four servers with one user. Usually each is a program of its own, on a machine of its own.
//! add_user(&root, &UserName::parse("Aditi")?, "correct horse battery staple")?;
//! let mut conf = "Username Aditi\nPassword correct horse battery staple\n".to_owned();
//! for name in ["Server1", "Server2", "Server3", "Server4"] {
//!     let any_port = "127.0.0.1:0".parse()?;
//!     let server = Server::start(&root, ServerName::parse(name)?, any_port, Box::new(io::sink()))?;
//!     conf += &format!("{name} {}\n", server.address());
//!     thread::spawn(move || server.serve());
//! }
//!
//! // Log in, and store a file of the folder `dir`.
//! fs::write(dir.join("poem.txt"), "Tiger Tiger, burning bright")?;
//! let mut client = Client::launch(Config::parse(&conf)?, None, Arc::new(Silent))?;
//! let from = Selection { dir: &dir, follow: false, journals: &[], excluded: &Excluded::default() };
//! let sources: Vec<_> = find(from, "poem.txt", &FolderPath::root(), &Silent)?.iter().collect();
//! for stored in client.upload(&sources, false) {
//!     println!("{} is stored", stored?.path);
//! }
//!
//! // Fetch it, into a folder that is made if it does not exist.
//! let to = Destination::new(fetched, FolderPath::root());
//! for file in client.download(&[FilePath::parse("poem.txt")?], Terms::new(&to)) {
//!     assert_eq!(fs::read(file?.place)?, b"Tiger Tiger, burning bright");
//! }
//! # fs::remove_dir_all(&home)?;
//! # Ok(())
//! # }
//! ```
//!
//! What a command prints as warnings and progress goes to a [`client::Report`]; [`client::Silent`] drops it.
//!
//! Until 0.1.0 is released nothing is stable. Then it will be what these four modules export and the example uses:
//! names, the .conf, [`client::Client`] and its results, [`server::Server`] and [`server::add_user`]. Enums of errors
//! and notices may get new variants. All other modules are public so that they can be read, linked to, tested and fuzzed
//! from outside; they may change with any version. What is stored and what travels do not follow the library's version:
//! FORMAT.md and PROTOCOL.md have numbers of their own.
//!
//! # The map
//!
//! Read from the ground up; each floor uses only the floors below it:
//!
//! 0. [`name`], [`pattern`], [`text`], [`placement`], [`throttle`]: pure rules. [`descriptors`], [`locked`]: open files.
//! 1. [`version`], [`primitives`], [`config`], [`tcp`], [`link`]: versions, cryptography, the .conf file, connections.
//! 2. [`commit`], [`sealed`]: the two-step commit, the piece format.
//! 3. [`wire`], [`auth`]: the protocol's lines, login.
//! 4. [`store`]: a server's disk.
//! 5. [`peer`]: one connection.
//! 6. [`server`], [`client`]: the two programs, which never use each other.
//! 7. [`cli`]: arguments, messages, exit codes.

#![forbid(unsafe_code)]

pub mod auth;
pub mod cli;
pub mod client;
pub mod commit;
pub mod config;
pub mod descriptors;
pub mod link;
pub mod locked;
pub mod name;
pub mod pattern;
pub mod peer;
pub mod placement;
pub mod primitives;
pub mod sealed;
pub mod server;
pub mod store;
pub mod tcp;
pub mod text;
pub mod throttle;
pub mod version;
pub mod wire;
