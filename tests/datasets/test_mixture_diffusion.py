"""The diffusion whose score is known: derivatives, moments, the flow it follows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.stats import multivariate_normal

from sklearn_sparse_eig.datasets import (
    GaussianMixturePosterior,
    GaussianMixtureSampler,
    make_gaussian_mixture_diffusion,
)


def mixture(d=3, k=4, sigma=0.7, n_steps=50, seed=0):
    means = np.random.default_rng(seed).normal(size=(k, d)) * 2
    return GaussianMixtureSampler(means, sigma, n_steps=n_steps)


@pytest.mark.parametrize("angle", [0.0, 0.3, 1.2, np.pi / 2])
def test_score_is_the_gradient_of_the_log_density(angle):
    model = mixture()
    x = np.random.default_rng(1).normal(size=(6, 3)) * 2
    step = 1e-5 * np.eye(3)
    rises = [(model.log_density(x + e, angle) - model.log_density(x - e, angle)) for e in step]
    np.testing.assert_allclose(model.score(x, angle), np.transpose(rises) / 2e-5, atol=1e-8)


@pytest.mark.parametrize("angle", [0.0, 0.3, 1.2])
def test_log_density_is_that_of_the_noised_mixture(angle):
    model = mixture()
    x = np.random.default_rng(1).normal(size=(6, 3)) * 2
    variance = (np.cos(angle) * 0.7) ** 2 + np.sin(angle) ** 2
    parts = [
        multivariate_normal(np.cos(angle) * m, variance * np.eye(3)).pdf(x) for m in model.means
    ]
    np.testing.assert_allclose(model.log_density(x, angle), np.log(np.mean(parts, axis=0)))


@settings(max_examples=30, deadline=None)
@given(angle=st.floats(0, np.pi / 2), sigma=st.floats(0.1, 3), seed=st.integers(0, 99))
def test_denoised_parts_add_up_and_the_score_is_the_noise(angle, sigma, seed):
    model = mixture(sigma=sigma, seed=seed)
    x = np.random.default_rng(seed).normal(size=(5, 3))
    data, noise = model.denoise(x, angle)
    np.testing.assert_allclose(np.cos(angle) * data + np.sin(angle) * noise, x, atol=1e-10)
    # Tweedie: the expected noise is minus sin(angle) times the score.
    np.testing.assert_allclose(-np.sin(angle) * model.score(x, angle), noise, atol=1e-10)


def flow(model, z):
    shape = z.shape

    def velocity(angle, x):
        return model.velocity(x.reshape(shape), angle).ravel()

    solved = solve_ivp(velocity, (np.pi / 2, 0.0), z.ravel(), rtol=1e-10, atol=1e-12)
    return solved.y[:, -1].reshape(shape)


def test_steps_converge_to_the_flow_in_first_order():
    z = np.random.default_rng(2).normal(size=(8, 3))
    exact = flow(mixture(), z)
    errors = [np.linalg.norm(mixture(n_steps=n)(z) - exact) for n in (100, 200, 400, 800)]
    ratios = np.divide(errors[:-1], errors[1:])
    np.testing.assert_allclose(ratios, 2.0, atol=0.15)
    assert errors[-1] < 1e-2 * np.linalg.norm(exact)


def test_one_step_is_the_usual_formula():
    # x' = sqrt(a') x0 + sqrt(1 - a') e, with a = cos(angle)^2 the usual alpha bar.
    model = mixture(n_steps=10)
    z = np.random.default_rng(2).normal(size=(5, 3))
    before, after = model.state(z, 0.4), model.state(z, 0.5)
    a, following = np.cos(np.pi / 2 * 0.6) ** 2, np.cos(np.pi / 2 * 0.5) ** 2
    e = -np.sqrt(1 - a) * model.score(before, np.pi / 2 * 0.6)
    x0 = (before - np.sqrt(1 - a) * e) / np.sqrt(a)
    np.testing.assert_allclose(after, np.sqrt(following) * x0 + np.sqrt(1 - following) * e)


def test_flow_of_one_gaussian_is_affine():
    mean = np.array([[1.0, -2.0, 0.5]])
    z = np.random.default_rng(2).normal(size=(8, 3))
    model = GaussianMixtureSampler(mean, 0.3)
    np.testing.assert_allclose(flow(model, z), mean + 0.3 * z, atol=1e-8)


def test_samples_have_the_moments_of_the_mixture():
    toy = make_gaussian_mixture_diffusion(
        10_000, 6, 3, radius=2.0, sigma=0.8, n_steps=100, random_state=0
    )
    X = toy.generator(toy.seeds)
    centered = toy.means - toy.means.mean(axis=0)
    covariance = 0.64 * np.eye(6) + centered.T @ centered / 3
    # Five standard errors, and the bias of 100 steps, in proportion to 1 / 100.
    error = 5 * np.sqrt(covariance.max() / len(X)) + 1 / 100
    np.testing.assert_allclose(X.mean(axis=0), toy.means.mean(axis=0), atol=error)
    np.testing.assert_allclose(np.cov(X.T), covariance, atol=2 * error)
    shares = np.bincount(toy.classifier.predict(X), minlength=3) / len(X)
    np.testing.assert_allclose(shares, 1 / 3, atol=0.03)


def test_posterior_is_bayes_rule():
    model = mixture()
    X = np.random.default_rng(1).normal(size=(6, 3)) * 2
    joint = np.transpose([multivariate_normal(m, 0.49 * np.eye(3)).pdf(X) for m in model.means])
    posterior = GaussianMixturePosterior(model.means, 0.7)
    expected = joint / joint.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(posterior.predict_proba(X), expected)
    np.testing.assert_array_equal(posterior.predict(X), expected.argmax(axis=1))


def test_a_seed_decides_its_sample():
    toy = make_gaussian_mixture_diffusion(50, random_state=3)
    X = toy.generator(toy.seeds)
    np.testing.assert_array_equal(X, toy.generator(toy.seeds))
    np.testing.assert_allclose(X[7:9], toy.generator(toy.seeds[7:9]), atol=1e-12)
    np.testing.assert_array_equal(toy.seeds, toy.generator.state(toy.seeds, 0))
    np.testing.assert_array_equal(X, toy.generator.state(toy.seeds, 1))
    again = make_gaussian_mixture_diffusion(50, random_state=3)
    np.testing.assert_array_equal(again.generator(again.seeds), X)
    np.testing.assert_allclose(np.linalg.norm(toy.means, axis=1), 2.5)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"n_samples": 0}, "n_samples must be an integer of at least 1"),
        ({"n_classes": 2.5}, "n_classes must be an integer"),
        ({"radius": -1}, "radius must be"),
        ({"sigma": 0}, "sigma must be a finite number above 0"),
        ({"n_steps": 0}, "n_steps must be"),
    ],
)
def test_bad_parameters(wrong, message):
    with pytest.raises(ValueError, match=message):
        make_gaussian_mixture_diffusion(**wrong)


def test_bad_means_and_position():
    with pytest.raises(ValueError, match=r"got shape \(3,\)"):
        GaussianMixtureSampler([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="position must be between 0 and 1"):
        mixture().state(np.zeros((1, 3)), 1.5)
