use periwinkle_core::time::Mono;

use super::*;

const MINUTE: i64 = 60_000;

/// 2026-11-22T10:21:00.000Z
const START: i64 = 1_795_342_860_000;

fn aggregate() -> Aggregate {
    Aggregate::new(Duration::from_secs(60), Some(Duration::from_secs(3_600)))
}

fn at(mono_ms: u64, wall: Option<i64>, trusted: bool) -> Now {
    Now {
        mono: Mono::from_start(Duration::from_millis(mono_ms)),
        wall: wall.map(UnixMillis),
        trusted,
    }
}

fn trusted(mono_ms: u64, wall: i64) -> Now {
    at(mono_ms, Some(wall), true)
}

fn sample() -> Sample {
    Sample::default()
}

/// Takes a sample each second from `mono_s`, where the wall clock shows `wall`, for `seconds`.
fn run(aggregate: &mut Aggregate, mono_s: u64, wall: i64, seconds: u64) -> Vec<Row> {
    (0..seconds)
        .filter_map(|n| {
            let now = trusted((mono_s + n) * 1_000, wall + (n * 1_000) as i64);
            aggregate.add(&sample(), now)
        })
        .collect()
}

/// Time of each row since `START`, and its samples.
fn shape(rows: &[Row]) -> Vec<(i64, u32)> {
    rows.iter()
        .map(|row| (row.at.0 - START, row.samples))
        .collect()
}

#[test]
fn a_row_sums_up_the_samples_of_its_minute() {
    let mut aggregate = aggregate();
    let quantities = [
        (1_000, 45, 100, 4_000),
        (3_000, 55, 300, 5_000),
        (9_000, 20, 201, 4_500),
    ];
    for (n, (cpu, load, memory, temperature)) in quantities.into_iter().enumerate() {
        let sample = Sample {
            cpu_pct: Some(Hundredths(cpu)),
            load1: Some(Hundredths(load)),
            mem_used_bytes: Some(memory),
            mem_total_bytes: Some(1_000),
            disk_used_bytes: Some(memory),
            disk_total_bytes: Some(2_000),
            net_rx_bytes: Some(7),
            net_tx_bytes: Some(5),
            temp_c: Some(Hundredths(temperature)),
            uptime_s: Some(50 + n as u64),
            ..Sample::default()
        };
        let now = trusted(n as u64 * 1_000, START + n as i64 * 1_000);
        assert_eq!(aggregate.add(&sample, now), None);
    }
    let row = aggregate.finish().unwrap();
    let hundredths = |min, avg, max| Summary {
        min: Hundredths(min),
        avg: Hundredths(avg),
        max: Hundredths(max),
    };
    let expected = Row {
        at: UnixMillis(START),
        trusted: true,
        expires: Some(UnixMillis(START + 3_600_000)),
        samples: 3,
        cpu: Some(hundredths(1_000, 4_333, 9_000)),
        load1: Some(hundredths(20, 40, 55)),
        mem_used: Some(Summary {
            min: 100,
            avg: 200,
            max: 300,
        }),
        mem_total: Some(1_000),
        disk_used: Some(201),
        disk_total: Some(2_000),
        net_rx_bytes: Some(21),
        net_tx_bytes: Some(15),
        temp: Some(hundredths(4_000, 4_500, 5_000)),
        uptime_s: Some(52),
    };
    assert_eq!(row, expected);
    assert_eq!(aggregate.finish(), None);
}

#[test]
fn a_quantity_missing_from_some_samples_is_averaged_over_the_others() {
    let mut aggregate = aggregate();
    for cpu_pct in [None, Some(Hundredths(1_000)), Some(Hundredths(2_000)), None] {
        let sample = Sample {
            cpu_pct,
            ..sample()
        };
        aggregate.add(&sample, trusted(0, START));
    }
    let row = aggregate.finish().unwrap();
    assert_eq!(row.samples, 4);
    assert_eq!(row.cpu.unwrap().avg, Hundredths(1_500));
    assert_eq!(row.temp, None);
}

#[test]
fn rows_begin_at_whole_minutes_but_the_first_at_its_first_sample() {
    let mut aggregate = aggregate();
    let rows = run(&mut aggregate, 5, START + 20_500, 160);
    assert_eq!(shape(&rows), [(20_500, 40), (MINUTE, 60)]);
    assert_eq!(shape(&[aggregate.finish().unwrap()]), [(2 * MINUTE, 60)]);
}

#[test]
fn a_row_ends_with_the_last_millisecond_of_its_minute() {
    let mut aggregate = aggregate();
    assert_eq!(aggregate.add(&sample(), trusted(0, START)), None);
    assert_eq!(
        aggregate.add(&sample(), trusted(59_999, START + MINUTE - 1)),
        None
    );
    let row = aggregate
        .add(&sample(), trusted(60_000, START + MINUTE))
        .unwrap();
    assert_eq!(shape(&[row]), [(0, 2)]);
}

#[test]
fn without_trusted_time_rows_follow_the_monotonic_clock() {
    let mut aggregate = aggregate();
    let mut rows = Vec::new();
    for second in 30..150 {
        let wall = START + 45_000 + second * 1_000;
        rows.extend(aggregate.add(&sample(), at(second as u64 * 1_000, Some(wall), false)));
    }
    assert_eq!(shape(&rows), [(75_000, 30), (105_000, 60)]);
    assert!(rows.iter().all(|row| !row.trusted && row.expires.is_none()));
}

#[test]
fn without_any_wall_clock_rows_count_from_the_start() {
    let mut aggregate = aggregate();
    aggregate.add(&sample(), at(59_000, None, false));
    let row = aggregate.add(&sample(), at(60_000, None, false)).unwrap();
    assert_eq!((row.at, row.samples), (UnixMillis(59_000), 1));
}

#[test]
fn time_that_becomes_trusted_begins_a_new_row() {
    let mut aggregate = aggregate();
    aggregate.add(&sample(), at(1_000, Some(START - 999_000), false));
    let row = aggregate
        .add(&sample(), trusted(2_000, START + 7_000))
        .unwrap();
    assert_eq!((row.trusted, row.samples), (false, 1));
    assert_eq!(shape(&[aggregate.finish().unwrap()]), [(7_000, 1)]);
}

#[test]
fn a_clock_set_forward_by_hours_begins_a_row_at_the_time_it_shows() {
    let mut aggregate = aggregate();
    let mut rows = run(&mut aggregate, 0, START, 30);
    rows.extend(run(&mut aggregate, 30, START + 120 * MINUTE + 10_000, 51));
    rows.extend(aggregate.finish());
    assert_eq!(
        shape(&rows),
        [(0, 30), (120 * MINUTE + 10_000, 50), (121 * MINUTE, 1)]
    );
}

#[test]
fn a_clock_set_back_by_hours_never_makes_a_second_row_of_a_minute() {
    let mut aggregate = aggregate();
    let mut rows = run(&mut aggregate, 0, START, 125);
    rows.extend(run(&mut aggregate, 125, START + 500, 180));
    rows.extend(aggregate.finish());
    assert_eq!(
        shape(&rows),
        [
            (0, 60),
            (MINUTE, 60),
            (2 * MINUTE, 5),
            // Set back by more than a minute: counted on the monotonic clock ...
            (500, 55),
            (55_500, 60),
            (115_500, 60),
            // ... until the wall clock shows a minute that has no row.
            (175_500, 5),
        ]
    );
}

#[test]
fn rows_return_to_whole_minutes_once_the_clock_is_past_the_newest_row() {
    let mut aggregate = aggregate();
    run(&mut aggregate, 0, START, 125);
    let mut rows = run(&mut aggregate, 125, START, 241);
    rows.extend(aggregate.finish());
    let shape = shape(&rows);
    assert_eq!(
        shape[shape.len() - 2..],
        [(3 * MINUTE, 60), (4 * MINUTE, 1)]
    );
}

#[test]
fn a_clock_set_back_by_seconds_only_makes_the_open_row_longer() {
    let mut aggregate = aggregate();
    let mut rows = run(&mut aggregate, 0, START, 61);
    rows.extend(run(&mut aggregate, 61, START + 50_000, 71));
    assert_eq!(shape(&rows), [(0, 60), (MINUTE, 71)]);
}

#[test]
fn a_gap_of_more_than_a_period_begins_a_row_at_the_first_sample_after_it() {
    let mut aggregate = aggregate();
    aggregate.add(&sample(), trusted(0, START));
    let row = aggregate
        .add(&sample(), trusted(300_000, START + 5 * MINUTE + 3))
        .unwrap();
    assert_eq!(shape(&[row]), [(0, 1)]);
    assert_eq!(shape(&[aggregate.finish().unwrap()]), [(5 * MINUTE + 3, 1)]);
}

#[test]
fn a_period_of_zero_is_one_millisecond() {
    let mut aggregate = Aggregate::new(Duration::ZERO, None);
    assert_eq!(aggregate.add(&sample(), trusted(0, START)), None);
    assert!(aggregate.add(&sample(), trusted(1, START + 1)).is_some());
}

#[test]
fn traffic_beyond_what_a_number_holds_stays_at_the_largest() {
    let mut aggregate = aggregate();
    let sample = Sample {
        net_rx_bytes: Some(u64::MAX),
        ..sample()
    };
    aggregate.add(&sample, trusted(0, START));
    aggregate.add(&sample, trusted(0, START));
    assert_eq!(aggregate.finish().unwrap().net_rx_bytes, Some(u64::MAX));
}

#[test]
fn properties_are_those_of_the_model_and_absent_ones_are_left_out() {
    let whole = Row {
        at: UnixMillis(START),
        trusted: true,
        expires: Some(UnixMillis(START + 1)),
        samples: 60,
        cpu: Some(Summary {
            min: Hundredths(1),
            avg: Hundredths(1_230),
            max: Hundredths(3),
        }),
        load1: Some(Summary {
            min: Hundredths(1),
            avg: Hundredths(45),
            max: Hundredths(3),
        }),
        mem_used: Some(Summary {
            min: 1,
            avg: 2,
            max: 3,
        }),
        mem_total: Some(4),
        disk_used: Some(5),
        disk_total: Some(6),
        net_rx_bytes: Some(7),
        net_tx_bytes: Some(8),
        temp: Some(Summary {
            min: Hundredths(1),
            avg: Hundredths(2),
            max: Hundredths(4_831),
        }),
        uptime_s: Some(9),
    };
    assert_eq!(
        whole.properties().to_json(),
        concat!(
            r#"{"at":"2026-11-22T10:21:00.000Z","cpu_avg":12.3,"cpu_max":0.03,"#,
            r#""disk_total":6,"disk_used":5,"expires":"2026-11-22T10:21:00.001Z","#,
            r#""load1":0.45,"mem_total":4,"mem_used_avg":2,"month":"2026-11","#,
            r#""net_rx_bytes":7,"net_tx_bytes":8,"samples":60,"temp_max":48.31,"uptime_s":9}"#,
        )
    );
    let nothing = Row::default().properties();
    let names: Vec<_> = nothing.keys().collect();
    assert_eq!(names, ["at", "month", "samples"]);
}

#[test]
fn rows_that_are_kept_for_ever_do_not_expire() {
    let mut aggregate = Aggregate::new(Duration::from_secs(60), None);
    aggregate.add(&sample(), trusted(0, START));
    let row = aggregate.finish().unwrap();
    assert_eq!((row.trusted, row.expires), (true, None));
}
