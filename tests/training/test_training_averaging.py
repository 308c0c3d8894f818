"""The moving average of the weights is its recurrence; zeros that L1 has chosen stay."""

import torch

from seewhy.training.averaging import MovingAverage


def test_moving_average_is_its_recurrence():
    model = torch.nn.Linear(3, 2)
    average = MovingAverage(model, 0.9)
    expected = model.weight.detach().clone()
    for step in range(20):
        with torch.no_grad():
            model.weight.add_(torch.randn(2, 3))
        average.update(model, step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * model.weight.detach()
    torch.testing.assert_close(average.state["weight"], expected)


def test_integer_buffers_are_copied_and_floating_ones_averaged():
    model = torch.nn.BatchNorm1d(2)
    average = MovingAverage(model, 0.5)
    model.num_batches_tracked += 7
    model.running_mean += 1.0
    average.update(model, 100)
    assert average.state["num_batches_tracked"] == 7
    torch.testing.assert_close(average.state["running_mean"], torch.full((2,), 0.5))


def test_a_weight_at_zero_is_zero_in_the_average_too():
    model = torch.nn.Linear(2, 2)
    average = MovingAverage(model, 0.9, sparse=("weight",))
    with torch.no_grad():
        model.weight[0].zero_()
        model.bias.zero_()
    average.update(model, 100)
    assert torch.equal(average.state["weight"][0], torch.zeros(2))
    assert (average.state["weight"][1] != 0).all()
    assert (average.state["bias"] != 0).all()


def test_it_takes_the_models_place_for_a_while_and_goes_on_from_a_saved_one():
    model = torch.nn.Linear(3, 2)
    average = MovingAverage(model, 0.9)
    with torch.no_grad():
        model.weight.add_(1.0)
    own = model.weight.detach().clone()
    with average.in_place_of(model):
        assert torch.equal(model.weight, average.state["weight"])
        assert not torch.equal(model.weight, own)
    assert torch.equal(model.weight, own)
    again = MovingAverage(model, 0.9)
    again.load(average.state)
    assert torch.equal(again.state["weight"], average.state["weight"])
