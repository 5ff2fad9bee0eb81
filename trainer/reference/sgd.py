"""Three steps of PyTorch's SGD with Nesterov momentum, for the test in src/optim.rs.

pip install torch; python trainer/reference/sgd.py
"""

import torch

w = torch.tensor([1.0, -2.0], requires_grad=True)
sgd = torch.optim.SGD([w], lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True)
for _ in range(3):
    sgd.zero_grad()
    (w.square().sum() / 2).backward()
    sgd.step()
    print(w.tolist())
