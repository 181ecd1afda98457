//! What the client and the server have in common.
// course: begin solution
// course: starter
//:
//: #![allow(unused)] // TODO: take this line out when you are done
// course: end solution

pub mod conf;
pub mod placement;
pub mod sha256;
pub mod wire;
