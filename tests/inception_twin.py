"""Inception v3 in torch, in torchvision's names and with FID's pools; not from jaxsd's table."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

torch.set_num_threads(1)


class Basic(nn.Module):
    def __init__(self, inputs: int, outputs: int, **options: object) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, bias=False, **options)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


def average(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


class Mixed5(nn.Module):
    def __init__(self, inputs: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = Basic(inputs, 64, kernel_size=1)
        self.branch5x5_1 = Basic(inputs, 48, kernel_size=1)
        self.branch5x5_2 = Basic(48, 64, kernel_size=5, padding=2)
        self.branch3x3dbl_1 = Basic(inputs, 64, kernel_size=1)
        self.branch3x3dbl_2 = Basic(64, 96, kernel_size=3, padding=1)
        self.branch3x3dbl_3 = Basic(96, 96, kernel_size=3, padding=1)
        self.branch_pool = Basic(inputs, pooled, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        five = self.branch5x5_2(self.branch5x5_1(x))
        return torch.cat([self.branch1x1(x), five, double, self.branch_pool(average(x))], 1)


class Mixed6a(nn.Module):
    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3 = Basic(inputs, 384, kernel_size=3, stride=2)
        self.branch3x3dbl_1 = Basic(inputs, 64, kernel_size=1)
        self.branch3x3dbl_2 = Basic(64, 96, kernel_size=3, padding=1)
        self.branch3x3dbl_3 = Basic(96, 96, kernel_size=3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, F.max_pool2d(x, 3, stride=2)], 1)


class Mixed6(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        row = {"kernel_size": (1, 7), "padding": (0, 3)}
        column = {"kernel_size": (7, 1), "padding": (3, 0)}
        self.branch1x1 = Basic(768, 192, kernel_size=1)
        self.branch7x7_1 = Basic(768, width, kernel_size=1)
        self.branch7x7_2 = Basic(width, width, **row)
        self.branch7x7_3 = Basic(width, 192, **column)
        self.branch7x7dbl_1 = Basic(768, width, kernel_size=1)
        self.branch7x7dbl_2 = Basic(width, width, **column)
        self.branch7x7dbl_3 = Basic(width, width, **row)
        self.branch7x7dbl_4 = Basic(width, width, **column)
        self.branch7x7dbl_5 = Basic(width, 192, **row)
        self.branch_pool = Basic(768, 192, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return torch.cat([self.branch1x1(x), seven, double, self.branch_pool(average(x))], 1)


class Mixed7a(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.branch3x3_1 = Basic(768, 192, kernel_size=1)
        self.branch3x3_2 = Basic(192, 320, kernel_size=3, stride=2)
        self.branch7x7x3_1 = Basic(768, 192, kernel_size=1)
        self.branch7x7x3_2 = Basic(192, 192, kernel_size=(1, 7), padding=(0, 3))
        self.branch7x7x3_3 = Basic(192, 192, kernel_size=(7, 1), padding=(3, 0))
        self.branch7x7x3_4 = Basic(192, 192, kernel_size=3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        three = self.branch3x3_2(self.branch3x3_1(x))
        seven = self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x)))
        return torch.cat([three, self.branch7x7x3_4(seven), F.max_pool2d(x, 3, stride=2)], 1)


class Mixed7(nn.Module):
    def __init__(self, inputs: int, last: bool) -> None:
        super().__init__()
        row = {"kernel_size": (1, 3), "padding": (0, 1)}
        column = {"kernel_size": (3, 1), "padding": (1, 0)}
        self.last = last
        self.branch1x1 = Basic(inputs, 320, kernel_size=1)
        self.branch3x3_1 = Basic(inputs, 384, kernel_size=1)
        self.branch3x3_2a = Basic(384, 384, **row)
        self.branch3x3_2b = Basic(384, 384, **column)
        self.branch3x3dbl_1 = Basic(inputs, 448, kernel_size=1)
        self.branch3x3dbl_2 = Basic(448, 384, kernel_size=3, padding=1)
        self.branch3x3dbl_3a = Basic(384, 384, **row)
        self.branch3x3dbl_3b = Basic(384, 384, **column)
        self.branch_pool = Basic(inputs, 192, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        three = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        parts = [self.branch1x1(x), self.branch3x3_2a(three), self.branch3x3_2b(three)]
        parts += [self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double)]
        pooled = F.max_pool2d(x, 3, stride=1, padding=1) if self.last else average(x)
        return torch.cat([*parts, self.branch_pool(pooled)], 1)


class InceptionTwin(nn.Module):
    """[B, 3, h, w] in [-1, 1] -> [B, 2048]."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Basic(3, 32, kernel_size=3, stride=2)
        self.Conv2d_2a_3x3 = Basic(32, 32, kernel_size=3)
        self.Conv2d_2b_3x3 = Basic(32, 64, kernel_size=3, padding=1)
        self.Conv2d_3b_1x1 = Basic(64, 80, kernel_size=1)
        self.Conv2d_4a_3x3 = Basic(80, 192, kernel_size=3)
        self.Mixed_5b = Mixed5(192, 32)
        self.Mixed_5c = Mixed5(256, 64)
        self.Mixed_5d = Mixed5(288, 64)
        self.Mixed_6a = Mixed6a(288)
        self.Mixed_6b = Mixed6(128)
        self.Mixed_6c = Mixed6(160)
        self.Mixed_6d = Mixed6(160)
        self.Mixed_6e = Mixed6(192)
        self.Mixed_7a = Mixed7a()
        self.Mixed_7b = Mixed7(1280, last=False)
        self.Mixed_7c = Mixed7(2048, last=True)
        self.fc = nn.Linear(2048, 1008)

    def forward(self, x: Tensor) -> Tensor:
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(x, 3, stride=2)))
        x = F.max_pool2d(x, 3, stride=2)
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x)))
        x = self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))
        x = self.Mixed_7a(self.Mixed_6e(self.Mixed_6d(x)))
        return self.Mixed_7c(self.Mixed_7b(x)).mean((2, 3))


def random_twin(seed: int = 0) -> InceptionTwin:
    """Weights that keep the size of values, and norms of which no number is left at its default."""
    torch.manual_seed(seed)
    twin = InceptionTwin().eval()
    for module in twin.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=(2 / module.weight[0].numel()) ** 0.5)
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_var, module.weight.data):
                tensor.uniform_(0.5, 1.5)
            for tensor in (module.running_mean, module.bias.data):
                tensor.normal_(0, 0.1)
    return twin
