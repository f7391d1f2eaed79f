use super::super::{Core, Hundredths, Load, Memory, Ticks};
use super::*;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/metrics/fixtures")
        .join(name)
}

fn read(root: &Path) -> Reading {
    let mut reading = Reading::default();
    Readers::new(root, root).read(&mut reading);
    reading
}

/// Name, bytes received, bytes sent, physical.
fn interfaces(reading: &Reading) -> Vec<(&str, u64, u64, bool)> {
    let interfaces = reading.interfaces.iter();
    interfaces
        .map(|i| (i.name.as_str(), i.rx_bytes, i.tx_bytes, i.physical))
        .collect()
}

#[test]
fn an_ordinary_pc_is_read_whole() {
    let reading = read(&fixture("pc"));
    let all = Ticks {
        busy: 579_870,
        total: 7_720_280,
    };
    assert_eq!(reading.processor, Some(all));
    let ids: Vec<u32> = reading.cores.iter().map(|core| core.id).collect();
    assert_eq!(ids, [0, 1, 2, 3]);
    let load = Load {
        one: Hundredths(125),
        five: Hundredths(80),
        fifteen: Hundredths(61),
    };
    assert_eq!(reading.load, Some(load));
    let memory = Memory {
        total: 16_281_088 * 1024,
        available: 9_876_544 * 1024,
        swap_total: 2_097_152 * 1024,
        swap_free: 1_998_848 * 1024,
    };
    assert_eq!(reading.memory, Some(memory));
    assert_eq!(reading.temperature_c, Some(Hundredths(5400)));
    assert_eq!(reading.uptime_s, Some(18_422));
    assert_eq!(reading.process.rss_bytes, Some(8040 * 1024));
    assert_eq!(reading.process.ticks, Some(400));
}

#[test]
fn partitions_loops_and_mappings_are_not_counted_beside_their_disks() {
    let disk = read(&fixture("pc")).disk.unwrap();
    assert_eq!(disk.read_bytes, (20_480 + 1_000) * 512);
    assert_eq!(disk.written_bytes, (40_960 + 200) * 512);
}

#[test]
fn bridges_and_container_interfaces_are_not_physical() {
    assert_eq!(
        interfaces(&read(&fixture("pc"))),
        [
            ("enp3s0", 6_043_418_712, 348_026_110, true),
            ("docker0", 120_033, 990_112, false),
            ("veth4c1d2e0", 131_387, 1_001_120, false),
        ]
    );
}

#[test]
fn a_small_arm_board_is_read_with_a_core_offline_and_a_modem() {
    let reading = read(&fixture("pi"));
    let ids: Vec<u32> = reading.cores.iter().map(|core| core.id).collect();
    assert_eq!(ids, [0, 1, 3]);
    assert_eq!(reading.temperature_c, Some(Hundredths(4831)));
    assert_eq!(reading.disk.unwrap().written_bytes, 210_044 * 512);
    assert_eq!(
        interfaces(&reading),
        [
            ("eth0", 0, 0, true),
            ("wlan0", 4_294_901_760, 91_002_212, true),
            ("ppp0", 5_012, 4_096, true),
            ("wg0", 4_800, 3_900, false),
        ]
    );
}

#[test]
fn a_container_without_sys_has_no_temperature_and_no_disk_traffic() {
    let reading = read(&fixture("container"));
    assert_eq!(reading.temperature_c, None);
    assert_eq!(reading.disk, None);
    assert_eq!(reading.memory.unwrap().swap_total, 0);
    assert_eq!(interfaces(&reading), [("eth0", 60_434_187, 348_026, false)]);
    assert_eq!(reading.processor.unwrap().busy, 32_990);
}

#[test]
fn malformed_lines_are_absent_and_hide_nothing_else() {
    let root = fixture("malformed");
    let mut reading = read(&root);
    assert_eq!(
        reading.space.take().map(|space| space.total > 0),
        Some(true)
    );
    let core = Core {
        id: 2,
        ticks: Ticks { busy: 4, total: 10 },
    };
    let good = Interface {
        name: "ok0".to_owned(),
        rx_bytes: 7,
        tx_bytes: 8,
        physical: false,
    };
    let expected = Reading {
        cores: vec![core],
        interfaces: vec![good],
        ..Reading::default()
    };
    assert_eq!(reading, expected);
}

#[test]
fn a_device_without_any_file_has_no_values() {
    let root = tempfile::tempdir().unwrap();
    let mut reading = Reading::default();
    Readers::new(root.path(), &root.path().join("missing")).read(&mut reading);
    assert_eq!(reading, Reading::default());
}

#[test]
fn nothing_of_an_older_reading_stays() {
    let mut reading = read(&fixture("pc"));
    let empty = tempfile::tempdir().unwrap();
    Readers::new(empty.path(), &empty.path().join("missing")).read(&mut reading);
    assert_eq!(reading, Reading::default());
}

#[test]
fn reading_into_an_old_reading_gives_the_same_as_into_a_new_one() {
    let mut reading = read(&fixture("pc"));
    let root = fixture("container");
    Readers::new(&root, &root.join("missing")).read(&mut reading);
    let mut new = read(&root);
    new.space = None;
    assert_eq!(reading, new);
}

#[test]
fn the_space_of_a_real_file_system_adds_up() {
    let space = read_space(Path::new("/")).unwrap();
    assert!(space.total > 0 && space.used <= space.total);
}

#[test]
fn this_machine_tells_its_load_memory_and_own_share() {
    let reading = read(Path::new("/"));
    assert!(
        reading
            .processor
            .is_some_and(|ticks| ticks.total >= ticks.busy)
    );
    assert!(reading.load.is_some());
    assert!(reading.memory.is_some());
    assert!(reading.process.rss_bytes.is_some_and(|bytes| bytes > 0));
    assert!(reading.process.ticks.is_some());
}

#[test]
fn an_open_file_of_the_real_proc_tells_the_present_and_not_the_past() {
    const GROWTH: usize = 64 * 1024 * 1024;
    let mut readers = Readers::new(Path::new("/"), Path::new("/"));
    let mut reading = Reading::default();
    readers.read(&mut reading);
    let before = reading.process.rss_bytes.unwrap();
    let memory = std::hint::black_box(vec![1_u8; GROWTH]);
    readers.read(&mut reading);
    let after = reading.process.rss_bytes.unwrap();
    drop(memory);
    assert!(after > before + GROWTH as u64 / 2, "{before} {after}");
}

fn device(path: &str, text: &str) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
    root
}

#[test]
fn cores_beyond_the_bound_count_only_in_the_total() {
    for count in [METRICS_CORES_MAX, METRICS_CORES_MAX + 1] {
        let mut text = "cpu  9 0 0 1\n".to_owned();
        for id in 0..count {
            text.push_str(&format!("cpu{id} 1 0 0 1\n"));
        }
        let reading = read(device("proc/stat", &text).path());
        assert_eq!(reading.cores.len(), METRICS_CORES_MAX);
        assert_eq!(reading.processor.unwrap().total, 10);
    }
}

#[test]
fn interfaces_beyond_the_bound_are_left_out() {
    for count in [METRICS_INTERFACES_MAX, METRICS_INTERFACES_MAX + 1] {
        let mut text = String::new();
        for n in 0..count {
            text.push_str(&format!("veth{n}: 1 0 0 0 0 0 0 0 1 0 0 0 0 0 0 0\n"));
        }
        let reading = read(device("proc/net/dev", &text).path());
        assert_eq!(reading.interfaces.len(), METRICS_INTERFACES_MAX);
    }
}

#[test]
fn names_that_come_and_go_do_not_pile_up() {
    let mut hardware = Hardware::new(PathBuf::from("/missing"));
    for n in 0..=METRICS_NAMES_MAX {
        assert!(!hardware.is_behind(&format!("veth{n}")));
    }
    assert_eq!(hardware.known.len(), 1);
}
