"""Datetimes as points: unit, origin and time zone are kept, and numbers do not take their place."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from sklearn_sparse_eig import WeightedFourierRegressor

pd = pytest.importorskip("pandas")

START = np.datetime64("2024-03-30T06:00")
HOURS = np.sort(np.random.default_rng(0).choice(200, 60, replace=False))
TIMES = (START + HOURS.astype("m8[h]")).astype("M8[ns]")
NEW = START + (np.arange(13) * 997).astype("m8[m]")
y = np.sin(2 * np.pi * HOURS / 24.0) + 0.1 * np.cos(2 * np.pi * HOURS / 12.0)


def fourier(**options):
    return WeightedFourierRegressor(**({"period": timedelta(days=1), "alpha": 1e-3} | options))


# What the same instants without a zone may be given as.
NAIVE = {
    "numpy": TIMES[:, None],
    "one axis": TIMES,
    "hours": TIMES.astype("M8[h]")[:, None],
    "index": pd.DatetimeIndex(TIMES),
    "series": pd.Series(TIMES),
    "frame": pd.DataFrame({"at": TIMES}),
    "seconds in a frame": pd.DataFrame({"at": TIMES.astype("M8[s]")}),
    "objects in a frame": pd.DataFrame(
        {"at": pd.Series(list(pd.to_datetime(TIMES)), dtype=object)}
    ),
    "timestamps": [[pd.Timestamp(t)] for t in TIMES],
    "python": [[t] for t in TIMES.astype("M8[us]").astype(datetime)],
}
AWARE = {
    "utc": pd.DatetimeIndex(TIMES, tz="UTC"),
    "frame": pd.DataFrame({"at": pd.DatetimeIndex(TIMES, tz="UTC").tz_convert("Asia/Tokyo")}),
    "python": [[t.replace(tzinfo=UTC)] for t in TIMES.astype("M8[us]").astype(datetime)],
}


@pytest.mark.parametrize("kind", NAIVE)
def test_datetimes_are_seconds(kind):
    seconds = (TIMES - TIMES[0]) / np.timedelta64(1, "s")
    expected = fourier(period=86400.0).fit(seconds[:, None], y)
    model = fourier().fit(NAIVE[kind], y)
    np.testing.assert_allclose(model.coef_, expected.coef_, atol=1e-12)
    np.testing.assert_array_equal(model.period_, [86400.0])
    new = (NEW - TIMES[0]) / np.timedelta64(1, "s")
    # Any resolution; the columns of frames have to have the names of the fit.
    rows = pd.DataFrame({"at": NEW}) if "frame" in kind else NEW.astype("M8[s]")[:, None]
    np.testing.assert_allclose(model.predict(rows), expected.predict(new[:, None]), atol=1e-12)
    assert model.score(NAIVE[kind], y) > 0.99


@pytest.mark.parametrize("kind", AWARE)
def test_time_zones_are_instants(kind):
    model = fourier().fit(AWARE[kind], y)
    np.testing.assert_allclose(model.coef_, fourier().fit(TIMES, y).coef_, atol=1e-12)
    # Across the hour that Berlin skips on 31 March 2024.
    there = pd.DatetimeIndex(NEW, tz="UTC").tz_convert("Europe/Berlin")
    rows = there.to_frame(name="at") if kind == "frame" else there
    expected = fourier().fit(TIMES, y).predict(NEW)
    np.testing.assert_allclose(model.predict(rows), expected, atol=1e-12)
    with pytest.raises(ValueError, match="had a time zone in fit, and has none now"):
        model.predict(NAIVE["frame"] if kind == "frame" else NEW)


def test_without_a_zone_in_fit_none_is_taken_later():
    with pytest.raises(ValueError, match="had no time zone in fit, and has one now"):
        fourier().fit(TIMES, y).predict(AWARE["utc"])
    mixed = [[TIMES[0].astype("M8[us]").astype(datetime)], [datetime.now(UTC)]]
    with pytest.raises(ValueError, match="with and without a time zone"):
        fourier().fit(mixed, y[:2])


@pytest.mark.parametrize(
    "day",
    [
        timedelta(days=1),
        np.timedelta64(1, "D"),
        np.timedelta64(24 * 3600 * 10**9, "ns"),
        pd.Timedelta(days=1),
        [np.timedelta64(1, "D")],
        np.array([86400], dtype="m8[s]"),
        pd.TimedeltaIndex(["1D"]),
    ],
)
def test_durations_of_every_kind(day):
    model = fourier(period=day).fit(TIMES, y)
    np.testing.assert_array_equal(model.period_, [86400.0])
    np.testing.assert_array_equal(model.coef_, fourier().fit(TIMES, y).coef_)


def test_nanoseconds_and_centuries():
    pulses = np.datetime64("2024-01-01", "ns") + np.arange(16) * np.timedelta64(3, "ns")
    wave = np.cos(2 * np.pi * np.arange(16) / 16)
    for period in (np.timedelta64(48, "ns"), pd.Timedelta(48, unit="ns"), "auto"):
        model = fourier(period=period, alpha=0.0).fit(pulses, wave)
        assert model.solver_ == "fft" and model.period_[0] == pytest.approx(48e-9)
    years = np.arange("1000", "3000", 125, dtype="M8[Y]")  # beyond 64 bits of nanoseconds
    model = fourier(period="auto").fit(years, np.arange(16.0))
    assert model.period_[0] == pytest.approx(2000 * 365.2425 * 86400, rel=1e-3)
    assert np.isfinite(model.predict(np.array(["1969-12-31T23:59:59.999"], dtype="M8"))).all()


def test_defaults_and_several_features():
    noisy = y + 0.1 * np.random.default_rng(1).standard_normal(60)
    model = WeightedFourierRegressor(period=timedelta(days=1)).fit(pd.DatetimeIndex(TIMES), noisy)
    assert model.alpha_ > 0 and model.predict(pd.DatetimeIndex(NEW)).shape == (13,)
    frame = pd.DataFrame({"at": TIMES, "height": np.linspace(0, 1, 60)})
    both = fourier(period=[timedelta(days=1), 2.0]).fit(frame, y)
    np.testing.assert_array_equal(both.period_, [86400.0, 2.0])
    assert list(both.feature_names_in_) == ["at", "height"]
    numbers = np.column_stack([HOURS - HOURS[0], frame["height"]])
    expected = fourier(period=[24.0, 2.0]).fit(numbers, y).predict(numbers)
    np.testing.assert_allclose(both.predict(frame), expected, atol=1e-9)
    objects = frame.to_numpy()
    np.testing.assert_allclose(both.fit(objects, y).predict(objects), expected, atol=1e-9)
    np.testing.assert_array_equal(frame["at"], TIMES)  # not written to


def test_numbers_and_datetimes_do_not_mix():
    seconds = (TIMES - TIMES[0]) / np.timedelta64(1, "s")
    model = fourier().fit(TIMES, y)
    with pytest.raises(ValueError, match="Feature 0 was a datetime in fit, but X holds no datet"):
        model.predict(seconds[:, None])
    numbers = fourier(period=86400.0).fit(seconds[:, None], y)
    with pytest.raises(ValueError, match=r"feature 0 is of type datetime64\[ns\] now"):
        numbers.predict(TIMES[:, None])
    frame = pd.DataFrame({"at": TIMES, "height": HOURS})
    both = fourier(period="auto").fit(frame, y)
    with pytest.raises(ValueError, match="now feature 1 is of type datetime64"):
        both.predict(frame.assign(height=TIMES))
    with pytest.raises(ValueError, match="names"):
        both.predict(frame.rename(columns={"at": "when"}))
    with pytest.raises(ValueError, match="has 1 features, but"):
        both.predict(TIMES)


def test_what_no_clock_can_count_is_refused():
    holes = TIMES.copy()
    holes[3] = "NaT"
    for rows in (holes, pd.Series(holes), [[None if np.isnat(t) else t] for t in holes]):
        with pytest.raises(ValueError, match="NaT"):
            fourier().fit(rows, y)
    with pytest.raises(ValueError, match="entries of type float"):
        fourier().fit([[TIMES[0].astype("M8[us]").astype(datetime)], [3.0]], y[:2])
    with pytest.raises(ValueError, match="durations|Durations|timedelta64"):
        fourier().fit((TIMES - TIMES[0])[:, None], y)
    with pytest.raises(ValueError, match="holds datetimes, so its period must be a duration"):
        fourier(period=24.0).fit(TIMES, y)
    with pytest.raises(ValueError, match="is a number, so its period must be a number"):
        fourier().fit(HOURS[:, None], y)
    with pytest.raises(ValueError, match="positive"):
        fourier(period=timedelta(0)).fit(TIMES, y)
