//! The help texts.

pub(super) const CLIENT: &str = "\
ShareIt client: stores files in four encrypted pieces on a few servers.

usage: Client DIR CONF                  commands from the prompt or from a pipe
       Client DIR CONF COMMAND [ARGS]   one command
       Client keygen                    prints a `Key` line for a .conf
       Client --help | --version

DIR is the folder that Upload reads from; CONF says who and which servers.

commands, in any case:
  ShowFiles [FOLDER]           what is in a folder; -l long, --json for programs
  Upload FILE [FOLDER]         DIR/FILE to FOLDER on the servers
  Upload DIRECTORY [FOLDER]    everything below it
  Download FILE [FOLDER]       to Downloads/USER/FOLDER/FILE here
  Download FOLDER              everything below it
  Delete FILE [FOLDER]         also a folder, with -r
  Move OLD NEW                 a new name; the data does not travel again
  Passwd                       a new password, from standard input
  Verify [FOLDER]              checks every copy of every piece; -r everything below
  Repair [FOLDER]              brings everything below back to all its copies; -n only says how
  Status                       each server: round trip, space, what it holds
  Help, Exit

options, anywhere after the command:
  -l       long listing        --json   one JSON object a line
  -r       everything below    -n       say what would be done
  -u       upload only what has changed
  --trace  each line of the protocol, as it travels, on standard error
  -q       quiet               --       ends the options

exit status: 0 done, 1 failed, 2 usage or .conf, 3 refused, 4 too few servers
";

pub(super) const SERVER: &str = "\
ShareIt server: keeps pieces of files that it cannot read.

usage: Server ROOT NAME PORT            listens on 127.0.0.1:PORT
       Server ROOT NAME ADDR:PORT       listens on ADDR:PORT
       Server adduser ROOT USER         takes a password from standard input
       Server --help | --version

Pieces lie at ROOT/NAME/USER/FOLDER/.FILE.1 to .4; users are in ROOT/Users.conf.
";

pub(super) const COMMANDS: &str = "\
ShowFiles [FOLDER]          what is in a folder          ShowFiles holiday
Upload FILE [FOLDER]        store a file                 Upload \"my notes.txt\" papers
Upload DIRECTORY [FOLDER]   store everything below it    Upload holiday
Download FILE [FOLDER]      get a file back              Download earth.gif holiday
Download FOLDER             get everything below it      Download holiday
Delete FILE [FOLDER]        a folder with -r             Delete -r holiday
Move OLD NEW                give a file another name     Move a.txt papers/b.txt
Passwd                      change your password         Passwd
Verify [FOLDER]             check copies; -r all below   Verify -r
Repair [FOLDER]             restore copies; -n dry run   Repair
Status                      how the servers are          Status
Help, Exit
";
