//! CRC-64/NVME, eight bytes a step.

/// The polynomial, lowest power in the highest bit.
pub(super) const POLYNOMIAL: u64 = 0x9A6C_9329_AC4B_C9B5;

/// What each byte does to the remainder, for each of eight distances from the end.
static TABLES: [[u64; 256]; 8] = tables();

/// The checksum of what `crc` is the checksum of, followed by `bytes`.
pub(super) fn update(crc: u64, bytes: &[u8]) -> u64 {
    let mut state = !crc;
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let word = <[u8; 8]>::try_from(word).expect("the chunks have eight bytes");
        let mixed = (state ^ u64::from_le_bytes(word)).to_le_bytes();
        state = (0..8).fold(0, |sum, at| sum ^ TABLES[7 - at][usize::from(mixed[at])]);
    }
    for byte in words.remainder() {
        let index = usize::from(state.to_le_bytes()[0] ^ byte);
        state = TABLES[0][index] ^ (state >> 8);
    }
    !state
}

const fn tables() -> [[u64; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ if crc & 1 == 1 { POLYNOMIAL } else { 0 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut distance = 1;
    while distance < 8 {
        let mut byte = 0;
        while byte < 256 {
            let nearer = tables[distance - 1][byte];
            tables[distance][byte] = tables[0][(nearer & 0xFF) as usize] ^ (nearer >> 8);
            byte += 1;
        }
        distance += 1;
    }
    tables
}
