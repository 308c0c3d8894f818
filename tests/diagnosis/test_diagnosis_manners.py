"""Watching changes no bit of a stranger's loop, breaks none, and leaves nothing behind."""

import contextlib
import copy
import gc
import os
import pickle
import subprocess
import sys
import threading
import warnings
import weakref

import manners_loops as loops
import pytest
import torch
import torch.nn.functional as F
import torchvision
from manners_loops import Unwatched, Watching, adamw, batches, equal, hooks_of, images, loss_of, mlp, run, vectors
from torch import nn
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack
from torch.utils.flop_counter import FlopCounterMode

import forkserver
from seewhy.diagnosis import functions, watch
from seewhy.diagnosis import probe as probing
from seewhy.diagnosis.hooks import Hook
from seewhy.diagnosis.network import Network
from seewhy.diagnosis.values import slopes
from seewhy.diagnosis.watcher import Watch
from seewhy.nn.saturation import derivative
from seewhy.optim import LBFGS


def assert_same_bits(loop, records=5):
    """A loop ends the same whether it is watched or not; returns the Watch."""
    watching = Watching()
    expected, found = run(loop, Unwatched()), run(loop, watching)
    why = watching.why
    assert not why.error
    assert equal(expected, found)
    assert _get_current_function_mode_stack() == []
    for network in why._networks.values():
        assert len(network.history.records) >= records
        for optimizer in network.optimizers:
            assert hooks_of(optimizer) == []
    return why


# The same bits.


@pytest.mark.parametrize("network", loops.NETWORKS)
def test_no_bit_of_training_changes(network):
    why = assert_same_bits(loops.plain(network), records=16)
    assert why.history().loop.step == 200


@pytest.mark.parametrize("loop", loops.LOOPS)
def test_no_bit_of_other_loops_changes(loop):
    assert_same_bits(loops.LOOPS[loop])


@pytest.mark.parametrize(
    "make",
    [
        lambda ps: torch.optim.LBFGS(ps, max_iter=3, line_search_fn="strong_wolfe"),
        lambda ps: torch.optim.SGD(ps, 0.1),
        LBFGS,
    ],
    ids=["torch_lbfgs", "sgd", "lbfgs"],
)
def test_no_bit_of_training_with_closures_changes(make):
    why = assert_same_bits(loops.closures(make))
    assert why.history().loop.closure


@pytest.mark.parametrize("fault", ["draws", "adds", "rounds"])
def test_a_fault_in_a_probe_would_be_seen(fault, monkeypatch):
    see = probing.Probe._see_layer

    def faulty(self, func, args, y):
        if fault == "draws":
            torch.rand(1)
        elif fault == "adds":
            y.data.add_(1e-7)
        else:
            y.register_hook(lambda g: g.bfloat16().float())
        return see(self, func, args, y)

    monkeypatch.setitem(probing.SEEN_AFTER, F.linear, faulty)
    assert not equal(run(loops.plain("mlp", 10), Unwatched()), run(loops.plain("mlp", 10), Watching()))


def test_evaluation_without_gradients_is_not_probed(monkeypatch):
    model = mlp()
    begun = []
    monkeypatch.setattr(probing.Probe, "begin", lambda self: begun.append(self))
    with watch(model, adamw(model.parameters()), tell=None):
        with torch.no_grad():
            model(torch.ones(2, 12))
        with torch.inference_mode():
            model(torch.ones(2, 12))
        assert not begun
        model(torch.ones(2, 12))
        assert len(begun) == 1


def test_sparse_gradients_are_measured():
    model = nn.Sequential(nn.Embedding(20, 6, sparse=True), nn.Linear(6, 4))
    opt = torch.optim.SGD(model.parameters(), 0.1)
    with watch(model, opt, tell=None) as why:
        for x, y in batches(loops.tokens, 3):
            loss_of(model(x).mean(1), y).backward()
            opt.step()
    assert not why.error
    embedding = why.history().records[-1].parameters[0]
    assert embedding.gradient == pytest.approx(float(model[0].weight.grad.to_dense().norm()))
    assert why.history().loop.stale == 2


def test_outputs_in_a_dataclass_are_seen():
    model = loops.Several()
    opt = adamw(model.parameters())
    with watch(model, opt, tell=None) as why:
        for x, y in batches(vectors, 3):
            loss_of(model(pixels=x).logits, y).backward()
            opt.step()
    assert why.history().records[0].logits.classes == 4


def test_lazy_layers_may_come_to_be_while_watched():
    model = nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.LazyLinear(4))
    opt = torch.optim.SGD(model.parameters(), 0.1)
    with watch(model, opt, tell=None) as why:
        for x, y in batches(vectors, 3):
            opt.zero_grad()
            loss_of(model(x), y).backward()
            opt.step()
    assert not why.error
    assert [p.name for p in why.history().records[-1].parameters] == ["0.weight", "0.bias", "2.weight", "2.bias"]


# Nothing stays.


def graph_hooks(tensor):
    """Tensor hooks anywhere in the graph of a tensor."""
    seen, todo, found = set(), [tensor], 0
    while todo:
        node = todo.pop()
        if isinstance(node, torch.Tensor):
            found += len(node._backward_hooks or {})
            node = node.grad_fn
        if node is None or node in seen:
            continue
        seen.add(node)
        todo += [following for following, _ in node.next_functions]
    return found


@pytest.mark.parametrize("when", ["forward", "backward", "two forwards"])
def test_nothing_stays_after_close(when):
    model = loops.convnet()
    opt = adamw(model.parameters())
    before = {name: set(vars(part)) for name, part in model.named_modules()}
    keys = list(model.state_dict())
    (x, y), *_ = batches(images, 1)
    why = watch(model, opt, tell=None)
    assert hooks_of(model)
    assert hooks_of(opt)
    out = model(x)
    if when == "two forwards":
        out = model(x)
    assert out._backward_hooks
    if when == "backward":
        loss_of(out, y).backward(retain_graph=True)
    assert list(model.state_dict()) == keys
    why.close()
    why.close()
    assert hooks_of(model) == hooks_of(opt) == []
    assert not out._backward_hooks
    assert {name: set(vars(part)) for name, part in model.named_modules()} == before
    loss_of(out, y).backward()
    opt.step()
    loss_of(model(x), y).backward()


@pytest.mark.parametrize("where", ["loop", "forward", "interrupt"])
def test_an_error_in_the_loop_passes_and_leaves_nothing(where):
    model = mlp()
    opt = adamw(model.parameters())
    error = KeyboardInterrupt if where == "interrupt" else ZeroDivisionError

    def fail(*_):
        raise error

    if where != "loop":
        handle = model[2].register_forward_pre_hook(fail)
    with pytest.raises(error), watch(model, opt, tell=None) as why:  # noqa: PT012
        model(torch.ones(2, 12)).sum().backward()
        fail()
    if where != "loop":
        handle.remove()
    assert not why.error
    assert hooks_of(model) == hooks_of(opt) == []
    assert _get_current_function_mode_stack() == []


def test_an_interrupted_pass_is_forgotten_at_the_next():
    model = mlp()
    opt = adamw(model.parameters())

    def fail(*_):
        raise KeyboardInterrupt

    with watch(model, opt, tell=None) as why:
        handle = model[2].register_forward_pre_hook(fail)
        with pytest.raises(KeyboardInterrupt):
            model(torch.ones(2, 12))
        handle.remove()
        model(torch.ones(2, 12)).sum().backward()
        opt.step()
        assert _get_current_function_mode_stack() == []
        assert hooks_of(model[2]) == []
        assert [layer.layer for layer in why.history().records[0].layers] == ["0", "2", "4"]


def test_nothing_stays_when_the_watch_is_forgotten():
    model = mlp()
    opt = adamw(model.parameters())
    why = watch(model, opt, tell=None)
    out = model(torch.ones(2, 12))
    gone = weakref.ref(why)
    gc.disable()
    try:
        del why
        assert gone() is None
    finally:
        gc.enable()
    assert hooks_of(model) == hooks_of(opt) == []
    out.sum().backward()
    opt.step()
    assert not out._backward_hooks


def test_nothing_keeps_the_model_alive():
    model = mlp()
    opt = adamw(model.parameters())
    with watch(model, opt, tell=None) as why:
        for x, y in batches(vectors, 3):
            loss_of(model(x), y).backward()
            opt.step()
    gone = weakref.ref(model)
    del model, opt, why, x, y
    gc.collect()
    assert gone() is None


def test_memory_does_not_grow_by_forward_passes_without_steps():
    model = mlp()
    opt = adamw(model.parameters())
    with watch(model, opt, tell=None) as why:
        kept = weakref.WeakSet()
        for _ in range(500):
            out = model(torch.ones(2, 12))
            kept.add(out.untyped_storage())
            out.sum().backward()
        network = why._networks["model"]
        held = [value for value in vars(network).values() if isinstance(value, (list, tuple, dict))]
        held += [value for value in vars(network.probe).values() if isinstance(value, (list, tuple, dict))]
        assert max(len(value) for value in held) <= 64


# Copies.


@pytest.mark.parametrize("moment", ["before", "between"])
def test_copies_are_free_of_us(moment, tmp_path):
    model = mlp()
    opt = adamw(model.parameters())
    copies = []

    def copy_all(*_):
        copies.append(copy.deepcopy(model))
        copies.append(pickle.loads(pickle.dumps(model)))
        torch.save(model, tmp_path / "model.pt")
        torch.save(copy.deepcopy(opt).state_dict(), tmp_path / "optimizer.pt")
        copy.deepcopy(opt)

    with watch(model, opt, tell=None):
        if moment == "before":
            copy_all()
        if moment == "within":
            handle = model[2].register_forward_hook(copy_all)
        loss_of(model(torch.ones(2, 12)), torch.zeros(2, dtype=torch.long)).backward()
        if moment == "within":
            handle.remove()
        opt.step()
        if moment == "between":
            copy_all()
        steps = model(torch.ones(2, 12))
    for one in copies:
        assert not [hook for *_, hooks in hooks_of(one) for hook in hooks.values() if isinstance(hook, (Hook, Watch))]
        one(torch.ones(2, 12)).sum().backward()
    assert b"seewhy" not in pickle.dumps(copies[0])
    assert b"seewhy" not in (tmp_path / "model.pt").read_bytes()
    assert steps is not None
    if moment != "within":  # its hook is of this test
        program = (
            "import sys, torch; sys.modules['seewhy'] = None\n"
            f"model = torch.load({str(tmp_path / 'model.pt')!r}, weights_only=False)\n"
            "model(torch.ones(2, 12)).sum().backward(); print('works')"
        )
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
        assert done.stdout == "works\n", done.stderr


# Errors of our own.


def plan_error(monkeypatch, where):
    def fail(*_, **__):
        raise LookupError("planted")

    owner, name = {
        "forward": (probing, "input_record"),
        "activation": (probing, "slopes"),
        "layer": (probing, "moments"),
        "gradient": (probing, "sampled"),
        "stack": (probing.Probe, "_enter"),
        "output": ("seewhy.diagnosis.watcher.tensors_of", None),
        "arrival": (Network, "look_for_stale"),
        "step": (Network, "before_step"),
        "record": (Network, "record"),
        "judge": (Watch, "_judge"),
        "tell": (None, None),
    }[where]
    if where == "gradient":
        monkeypatch.setattr(probing, "moments", lambda _: (0.0, 1.0))
    if isinstance(owner, str):
        monkeypatch.setattr(owner, fail)
    elif owner is not None:
        monkeypatch.setattr(owner, name, fail)


@pytest.mark.parametrize(
    "where",
    ["forward", "activation", "layer", "gradient", "stack", "output", "arrival", "step", "record", "judge"],
)
def test_an_error_of_ours_ends_watching_with_one_warning(where, monkeypatch):
    expected = run(loops.plain("convnet", 20), Unwatched())
    plan_error(monkeypatch, where)
    watching = Watching()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = run(loops.plain("convnet", 20), watching)
    assert [one.category for one in caught] == [RuntimeWarning]
    assert "planted" in str(caught[0].message)
    assert "planted" in watching.why.error
    assert equal(expected, found)
    assert _get_current_function_mode_stack() == []
    for network in watching.why._networks.values():
        assert hooks_of(network.module) == hooks_of(network.optimizers[0]) == []
    str(watching.why)


def test_an_error_of_ours_at_the_end_reaches_nobody(monkeypatch):
    model = mlp()
    with pytest.warns(RuntimeWarning, match="planted"), watch(model, adamw(model.parameters()), tell=None):
        plan_error(monkeypatch, "judge")
    assert hooks_of(model) == []


def test_what_a_hook_does_in_the_forward_pass_ends_with_it(monkeypatch):
    """Also where watching ended for an error in the midst of it."""
    plan_error(monkeypatch, "activation")
    model = mlp()
    with pytest.warns(RuntimeWarning), watch(model, adamw(model.parameters()), tell=None):  # noqa: PT031
        model(torch.ones(2, 12))
        assert _get_current_function_mode_stack() == []
        assert hooks_of(model) == []


# Others beside us.


class Counting(TorchFunctionMode):
    seen = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.seen += 1
        return func(*args, **(kwargs or {}))


def test_two_watchers_at_once():
    def loop(watcher):
        model = mlp()
        opt = adamw(model.parameters())
        with watcher(model, opt), Counting() if isinstance(watcher, Watching) else Unwatched()():
            first = Watching() if isinstance(watcher, Watching) else Unwatched()
            with first(model, opt) as other:
                for x, y in batches(vectors, 30):
                    opt.zero_grad()
                    loss_of(model(x), y).backward()
                    opt.step()
                    if other is not None:
                        assert len(_get_current_function_mode_stack()) == 1
        if other is not None:
            assert [record.layers for record in other.history().records] == [
                record.layers for record in watcher.why.history().records
            ]
            assert len(other.history().records[0].layers) == 3
        return loops.fingerprint(model, opt)

    assert_same_bits(loop)


def test_a_mode_of_the_user_stays_where_it_is():
    model = mlp()
    opt = adamw(model.parameters())
    why = watch(model, opt, tell=None)
    with Counting() as mode:
        model(torch.ones(2, 12))
        why.close()
        assert _get_current_function_mode_stack() == [mode]
    mode = Counting()
    handles = [
        model[0].register_forward_pre_hook(lambda *_: mode.__enter__() and None),
    ]
    why = watch(model, opt, tell=None)
    model(torch.ones(2, 12))
    assert _get_current_function_mode_stack() == [mode]
    mode.__exit__(None, None, None)
    handles[0].remove()
    why.close()


@pytest.mark.parametrize("nested", [False, True])
def test_counted_operations_are_the_loops_own(nested):
    def counted(watching):
        torch.manual_seed(0)
        model, x = mlp(), torch.randn(8, 12)
        opt = adamw(model.parameters())
        why = watch(model, opt, tell=None) if watching else None
        counts = []
        for _ in range(5):
            with (
                FlopCounterMode(display=False) if nested else contextlib.nullcontext(),
                FlopCounterMode(display=False) as counter,
            ):
                opt.zero_grad()
                model(x).square().mean().backward()
                opt.step()
            counts.append(counter.get_total_flops())
        if why is not None:
            why.close()
            assert not why.error
            assert len(why.history().records) > 2
        return counts

    assert counted(True) == counted(False)


def test_a_default_device_is_not_ours(monkeypatch):
    model = mlp()
    opt = adamw(model.parameters())
    x = torch.ones(2, 12)
    with torch.device("meta"), watch(model, opt, tell=None) as why:
        model(x).sum().backward()
        opt.step()
    assert why.error == ""
    assert why.history().records


def test_a_model_on_meta_is_not_measured():
    with torch.device("meta"):
        model = loops.convnet()
        opt = torch.optim.SGD(model.parameters(), 0.1)
        with watch(model, opt, tell=None) as why:
            for _ in range(5):
                opt.zero_grad()
                model(torch.ones(2, 3, 8, 8)).sum().backward()
                opt.step()
    assert why.error == ""
    assert why.history().loop.step == 5


def test_two_models_in_two_threads():
    names = ["convnet", "mlp"]
    models = {}
    for name in names:  # made one after the other: the random state is shared by threads
        torch.manual_seed(7)
        models[name] = loops.NETWORKS[name][0]()
        for part in models[name].modules():
            if isinstance(part, nn.Dropout):
                part.p = 0.0
    alone = {name: copy.deepcopy(model) for name, model in models.items()}
    errors = {}

    def train(name, model, watcher):
        opt = adamw(model.parameters())
        with watcher(model, opt) as why:
            for x, y in batches(loops.NETWORKS[name][1], 100):
                opt.zero_grad()
                loss_of(model(x), y).backward()
                opt.step()
        if why is not None:
            errors[name] = (why.error, len(why.history().records), {r.layer for r in why.history().records[-1].layers})

    threads = [threading.Thread(target=train, args=(name, models[name], Watching())) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name in names:
        train(name, alone[name], Unwatched())
        assert equal(alone[name].state_dict(), models[name].state_dict())
    assert errors == {"convnet": ("", 14, {"0", "4", "8"}), "mlp": ("", 14, {"0", "2", "4"})}


# Compilation.


@pytest.mark.parametrize("how", ["model", "module", "step"])
def test_compiled_models(how):
    torch._dynamo.reset()

    def loop(watcher):
        model = mlp()
        opt = torch.optim.SGD(model.parameters(), 0.1)
        outer = model
        if how == "model":
            outer = torch.compile(model, backend="eager", fullgraph=True)
        elif how == "module":
            model.compile(backend="eager", fullgraph=True)
        elif how == "part":
            model[2].compile(backend="eager", fullgraph=True)
            outer = nn.Sequential(model[:2], torch.compile(model[2:], backend="eager", fullgraph=True))
        forward = torch.compile(outer, backend="eager") if how == "step" else outer
        with watcher(outer, opt):
            for x, y in batches(vectors, 20):
                opt.zero_grad()
                loss_of(forward(x), y).backward()
                opt.step()
                with torch.no_grad():
                    forward(x)
        return loops.fingerprint(model, opt)

    watching = Watching()
    expected, found = run(loop, Unwatched()), run(loop, watching)
    assert not watching.why.error
    assert equal(expected, found)
    assert watching.why.history().loop.step == 20
    assert _get_current_function_mode_stack() == []
    torch._dynamo.reset()


def test_export_and_tracing_see_no_hook_of_ours():
    model = mlp()
    opt = adamw(model.parameters())
    x = torch.ones(2, 12)
    with watch(model, opt, tell=None) as why:
        program = torch.export.export(model, (x,), strict=True)
        torch.export.export(model, (x,), strict=False)
        torch.fx.symbolic_trace(model)
        assert not why.history().loop.evaluations
        torch.func.functional_call(model, dict(model.named_parameters()), (x,))
    assert not why.error
    assert torch.equal(program.module()(x), model(x))


# Silence.


def test_a_healthy_resnet_is_trained_without_a_word(capsys):
    torch.manual_seed(0)
    model = torchvision.models.resnet18(num_classes=4)
    opt = torch.optim.SGD(model.parameters(), 0.02, momentum=0.9)
    means = torch.randn(4, 3, 1, 1)
    with watch(model, opt) as why:
        for _, y in batches(vectors, 24, n=16):
            opt.zero_grad()
            F.cross_entropy(model(means[y] + torch.randn(16, 3, 32, 32)), y).backward()
            opt.step()
    assert not why.error
    assert why.findings == []
    assert capsys.readouterr() == ("", "")


# Many processes.


def of_two(rank, folder, queue):
    """Train with gradients that are never cleared, as one of two processes."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    torch.set_num_threads(1)
    torch.manual_seed(rank)
    model = nn.parallel.DistributedDataParallel(mlp())
    opt = torch.optim.SGD(model.parameters(), 1e-3)
    told = []
    with watch(model, opt, tell=told.append) as why:
        for x, y in batches(vectors, 12):
            loss_of(model(x), y).backward()
            opt.step()
    queue.put((rank, [one.code for one in told], [one.code for one in why.findings], why.error))
    torch.distributed.destroy_process_group()


def test_of_many_processes_one_tells(tmp_path):
    context = forkserver.context()
    queue = context.Queue()
    processes = [context.Process(target=of_two, args=(rank, tmp_path, queue)) for rank in range(2)]
    for process in processes:
        process.start()
    results = {rank: rest for rank, *rest in (queue.get(timeout=60) for _ in processes)}
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert "zero_grad_missing" in results[0][0]
    assert results[1][0] == []
    assert "zero_grad_missing" in results[1][1]
    assert results[0][2] == results[1][2] == ""


@pytest.mark.parametrize("function", sorted(set(functions.ACTIVATIONS.values())))
def test_slopes_are_the_derivatives(function):
    x = torch.linspace(-9, 9, 400, dtype=torch.float64).reshape(40, 10)  # 0 is none of them
    torch.testing.assert_close(slopes(function, x), derivative(getattr(F, function), x.clone()))
