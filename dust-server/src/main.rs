//! The command `dust`.

mod command;
mod settings;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    match command::Arguments::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            command::report(&*error);
            ExitCode::FAILURE
        }
    }
}
