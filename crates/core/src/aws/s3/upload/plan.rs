//! How an object is cut.

use crate::limits;

/// How an object is uploaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadPlan {
    /// In one request.
    Single,
    /// In parts.
    Parts(PartPlan),
}

/// How an object is cut into parts: all of one length but the last, which may be shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartPlan {
    length: u64,
    part_bytes: u64,
}

/// Why an object cannot be uploaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// S3 takes no object of that length.
    #[error("an object of {0} bytes; S3 takes {max} at most", max = limits::S3_OBJECT_BYTES_MAX)]
    TooLong(u64),
    /// Parts of that length are not possible.
    #[error("parts of {0} bytes cannot be, or are too many")]
    PartBytes(u64),
}

/// Decides how an object of `length` bytes is uploaded: in parts of `part_bytes` when it is longer
/// than one, and of more when there would be too many.
///
/// # Errors
/// When S3 takes no object of that length, or no parts of the one that was asked for.
pub fn plan(length: u64, part_bytes: u64) -> Result<UploadPlan, PlanError> {
    const MEBIBYTE: u64 = 1 << 20;
    if length > limits::S3_OBJECT_BYTES_MAX {
        return Err(PlanError::TooLong(length));
    }
    if !(limits::S3_PART_BYTES_MIN..=limits::S3_PART_BYTES_MAX).contains(&part_bytes) {
        return Err(PlanError::PartBytes(part_bytes));
    }
    if length <= part_bytes {
        return Ok(UploadPlan::Single);
    }
    // Long objects need long parts, for the number of parts is bounded.
    let least = length
        .div_ceil(u64::from(limits::S3_PARTS_MAX))
        .next_multiple_of(MEBIBYTE)
        .min(limits::S3_PART_BYTES_MAX);
    let part_bytes = least.max(part_bytes);
    Ok(UploadPlan::Parts(PartPlan { length, part_bytes }))
}

impl PartPlan {
    /// A plan with parts of a given length.
    ///
    /// # Errors
    /// When S3 takes no parts of that length, or not as many.
    pub fn new(length: u64, part_bytes: u64) -> Result<PartPlan, PlanError> {
        let range = limits::S3_PART_BYTES_MIN..=limits::S3_PART_BYTES_MAX;
        let count = length.div_ceil(part_bytes.max(1));
        let fits = (1..=u64::from(limits::S3_PARTS_MAX)).contains(&count);
        if range.contains(&part_bytes) && fits {
            Ok(PartPlan { length, part_bytes })
        } else {
            Err(PlanError::PartBytes(part_bytes))
        }
    }

    /// The length of the object.
    pub const fn length(self) -> u64 {
        self.length
    }

    /// The length of all parts but the last.
    pub const fn part_bytes(self) -> u64 {
        self.part_bytes
    }

    /// How many parts there are.
    pub fn parts(self) -> u32 {
        let parts = self.length.div_ceil(self.part_bytes);
        u32::try_from(parts).expect("a plan has at most 10,000 parts")
    }

    /// Where the part with this number begins, and its length; numbers begin with 1.
    pub fn range(self, number: u32) -> (u64, u64) {
        let offset = u64::from(number - 1) * self.part_bytes;
        (offset, self.part_bytes.min(self.length - offset))
    }

    /// How many parts may be on their way at once, so that their bytes stay within the bound.
    pub fn parallel(self) -> u32 {
        let fit = limits::UPLOAD_FLIGHT_BYTES_MAX / self.part_bytes;
        let fit = u32::try_from(fit).unwrap_or(u32::MAX);
        fit.clamp(1, limits::UPLOAD_PARALLEL_PARTS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts(length: u64) -> Option<(u64, u32)> {
        match plan(length, limits::UPLOAD_PART_BYTES).unwrap() {
            UploadPlan::Single => None,
            UploadPlan::Parts(plan) => Some((plan.part_bytes(), plan.parts())),
        }
    }

    #[test]
    fn parts_grow_with_the_object() {
        const MIB: u64 = 1 << 20;
        assert_eq!(parts(0), None);
        assert_eq!(parts(8 * MIB), None);
        assert_eq!(parts(8 * MIB + 1), Some((8 * MIB, 2)));
        assert_eq!(parts(80_000 * MIB), Some((8 * MIB, 10_000)));
        assert_eq!(parts(80_000 * MIB + 1), Some((9 * MIB, 8889)));
        let largest = limits::S3_OBJECT_BYTES_MAX;
        assert_eq!(parts(largest), Some((5 << 30, 10_000)));
        assert_eq!(
            plan(largest + 1, limits::UPLOAD_PART_BYTES),
            Err(PlanError::TooLong(largest + 1))
        );
    }

    #[test]
    fn parts_are_as_long_as_was_asked_for_where_s3_takes_them() {
        const MIB: u64 = 1 << 20;
        let asked = |length, part_bytes| plan(length, part_bytes);
        assert_eq!(asked(5 * MIB, 5 * MIB), Ok(UploadPlan::Single));
        let two = PartPlan::new(5 * MIB + 1, 5 * MIB).unwrap();
        assert_eq!(asked(5 * MIB + 1, 5 * MIB), Ok(UploadPlan::Parts(two)));
        assert_eq!(
            asked(1, 5 * MIB - 1),
            Err(PlanError::PartBytes(5 * MIB - 1))
        );
        assert!(asked(1, 5 << 30).is_ok());
        assert!(asked(1, (5 << 30) + 1).is_err());
    }

    #[test]
    fn given_parts_stay_within_what_s3_takes() {
        let new = |length, part_bytes| PartPlan::new(length, part_bytes).is_ok();
        assert!(new(1, 5 << 20));
        assert!(!new(1, (5 << 20) - 1));
        assert!(new(1, 5 << 30));
        assert!(!new(1, (5 << 30) + 1));
        assert!(!new(0, 5 << 20));
        assert!(new((5 << 20) * 10_000, 5 << 20));
        assert!(!new((5 << 20) * 10_000 + 1, 5 << 20));
    }

    #[test]
    fn parts_on_their_way_stay_within_the_memory() {
        let parallel = |part_bytes| PartPlan::new(1, part_bytes).unwrap().parallel();
        assert_eq!(parallel(5 << 20), 4);
        assert_eq!(parallel(8 << 20), 4);
        assert_eq!(parallel((8 << 20) + 1), 3);
        assert_eq!(parallel(32 << 20), 1);
        assert_eq!(parallel(5 << 30), 1);
    }

    proptest! {
        #[test]
        fn the_parts_are_the_object(length in 1_u64..=limits::S3_OBJECT_BYTES_MAX) {
            if let UploadPlan::Parts(plan) = plan(length, limits::UPLOAD_PART_BYTES).unwrap() {
                prop_assert_eq!(PartPlan::new(length, plan.part_bytes()), Ok(plan));
                let (offset, bytes) = plan.range(plan.parts());
                prop_assert_eq!(offset + bytes, length);
                prop_assert!(bytes >= 1 && bytes <= plan.part_bytes());
                prop_assert_eq!(plan.range(1), (0, plan.part_bytes()));
            }
        }
    }
}
