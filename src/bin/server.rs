//! The `Server` program; all of it is in [`shareit::cli`].

#![allow(non_snake_case, reason = "the program's name is the exercise's")]
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    shareit::cli::run_server(std::env::args_os())
}
