//! The result of one request to one server.

/// The result of one request to one server: `T` is what it returned, `R` why it refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer<T = (), R = ()> {
    /// Done, and on disk.
    Done(T),
    /// The server refused, and nothing has changed there. For a [`Writer`](super::Writer), a commit is refused only
    /// with [`Refused::NotStaged`](super::Refused::NotStaged) or [`Refused::Rekeyed`](super::Refused::Rekeyed): after
    /// any other failure it may be half done, which is [`Answer::Lost`].
    Refused(R),
    /// No answer, so that it may or may not have been done.
    Lost,
}

impl<T, R> Answer<T, R> {
    /// Whether it was done.
    pub fn is_done(&self) -> bool {
        matches!(self, Answer::Done(_))
    }

    /// Whether there was no answer.
    pub fn is_lost(&self) -> bool {
        matches!(self, Answer::Lost)
    }

    /// Why the server refused.
    pub fn refusal(&self) -> Option<&R> {
        match self {
            Answer::Refused(why) => Some(why),
            Answer::Done(_) | Answer::Lost => None,
        }
    }
}
