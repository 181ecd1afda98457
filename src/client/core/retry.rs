//! Trying again if other clients interfered.

/// One of several things that a command does together, and its result.
pub(crate) struct Pending<T, R> {
    pub(crate) of: T,
    /// None as long as it is worth another attempt.
    pub(crate) result: Option<R>,
}

/// Has `attempt` try everything that has no result yet, until everything has one or this was done `attempts` times;
/// what has none then gets `given_up`. Returns the results in order. `context` is for both.
pub(crate) fn until_settled<C, T, R>(
    context: &mut C,
    things: impl IntoIterator<Item = T>,
    attempts: usize,
    mut attempt: impl FnMut(&mut C, Vec<&mut Pending<T, R>>),
    given_up: impl Fn(&C, T) -> R,
) -> Vec<R> {
    let mut things: Vec<Pending<T, R>> = things.into_iter().map(|of| Pending { of, result: None }).collect();
    for _ in 0..attempts {
        let pending: Vec<_> = things.iter_mut().filter(|thing| thing.result.is_none()).collect();
        if pending.is_empty() {
            break;
        }
        attempt(context, pending);
    }
    things.into_iter().map(|thing| thing.result.unwrap_or_else(|| given_up(context, thing.of))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_result_is_tried_again_but_not_for_ever() {
        let mut tried = Vec::new();
        let results = until_settled(
            &mut tried,
            [1, 2, 9],
            3,
            |tried, pending| {
                tried.push(pending.iter().map(|thing| thing.of).collect::<Vec<_>>());
                let attempt = tried.len();
                for thing in pending {
                    thing.result = (thing.of <= attempt).then_some("done");
                }
            },
            |_, _| "given up",
        );
        assert_eq!(results, ["done", "done", "given up"]);
        assert_eq!(tried, [vec![1, 2, 9], vec![2, 9], vec![9]]);
    }
}
