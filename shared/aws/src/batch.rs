//! What SQS and SNS answer to a batch: for each entry that it was accepted, or why not.

use domain::ports::PortError;

/// One result for each of `count` entries, whose ids are their positions. Starts from "none accepted", so what the answer
/// leaves out is not taken for sent.
pub(crate) fn results<'a>(
    call: &'static str,
    count: usize,
    answered: impl Iterator<Item = (&'a str, Result<(), PortError>)>,
) -> Vec<Result<(), PortError>> {
    let mut results = vec![Err(PortError::transient(call, "unanswered")); count];
    for (id, result) in answered {
        let position = id.parse::<usize>().ok();
        if let Some(place) = position.and_then(|position| results.get_mut(position)) {
            *place = result;
        }
    }
    results
}
