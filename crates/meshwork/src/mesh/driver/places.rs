//! The places around each ask of the core.

use crate::failpoint::Point;
use meshwork_core::node::Ask;

/// Where a test may end the program before and after an ask is done.
pub(super) fn of(ask: &Ask) -> (Point, Point) {
    match ask {
        Ask::Append(_) => (Point::Append, Point::Appended),
        Ask::Start { .. } => (Point::Start, Point::Started),
        Ask::Check { .. } => (Point::Check, Point::Checking),
        Ask::Continue { .. } => (Point::Continue, Point::Continued),
        Ask::Stop { .. } => (Point::StopBody, Point::Stopped),
        Ask::Suspend { .. } => (Point::Suspend, Point::Suspended),
        Ask::Sleep { .. } => (Point::Sleep, Point::Sleeping),
        Ask::Answer { .. } => (Point::Answer, Point::Answered),
        Ask::RoundClosed(_) => (Point::RoundClosed, Point::RoundTold),
        Ask::Left => (Point::Left, Point::LeftNoted),
    }
}
