/** Documents as clients write them, by what wrote them. */
export const samples: Readonly<Record<string, string>> = {
  'virt-install --import': `<domain type="vmexit">
  <name>debian</name>
  <uuid>3d7f2f6e-1d55-4a1c-9b43-0c5b0c1b4a55</uuid>
  <metadata>
    <libosinfo:libosinfo xmlns:libosinfo="http://libosinfo.org/xmlns/libvirt/domain/1.0">
      <libosinfo:os id="http://debian.org/debian/12"/>
    </libosinfo:libosinfo>
  </metadata>
  <memory>524288</memory>
  <currentMemory>524288</currentMemory>
  <vcpu>2</vcpu>
  <os>
    <type arch="x86_64" machine="pc">hvm</type>
    <kernel>/boot/vmlinuz</kernel>
    <initrd>/boot/initrd.img</initrd>
    <cmdline>root=/dev/vda console=ttyS0 "a &amp; b"</cmdline>
    <boot dev="hd"/>
  </os>
  <features>
    <acpi/>
    <apic/>
  </features>
  <clock offset="utc"/>
  <devices>
    <disk type="file" device="disk">
      <source file="/srv/root.img"/>
      <target dev="sda" bus="sata"/>
    </disk>
    <interface type="user">
      <mac address="52:54:00:6b:3c:58"/>
      <model type="virtio"/>
    </interface>
    <console type="pty"/>
    <memballoon model="virtio"/>
    <rng model="virtio">
      <backend model="random">/dev/urandom</backend>
    </rng>
  </devices>
</domain>
`,
  'virt-manager': `<?xml version='1.0'?>
<!-- written by hand -->
<domain type='vmexit' id='3'>
  <name>desk</name>
  <uuid>3D7F2F6E-1D55-4A1C-9B43-0C5B0C1B4A56</uuid>
  <title>A title</title>
  <metadata><app:note xmlns:app='urn:x' when='"now" &lt; &apos;then&apos;'>some <b>mixed</b> text</app:note></metadata>
  <memory unit='MiB'>64</memory>
  <currentMemory unit='KiB'>32768</currentMemory>
  <vcpu placement='static'>1</vcpu>
  <resource><partition>/machine</partition></resource>
  <os>
    <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
    <loader readonly='yes' type='rom'>/usr/share/seabios/bios.bin</loader>
    <bootmenu enable='no'/>
  </os>
  <cpu mode='host-passthrough' check='none'/>
  <on_poweroff>restart</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>preserve</on_crash>
  <devices>
    <emulator>/usr/bin/vmexit</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/>
      <source file='/srv/a.img'/>
      <target dev='hda' bus='ide'/>
      <transient/>
      <address type='pci' slot='0x04'/>
    </disk>
    <disk type='file' device='cdrom'>
      <target dev='hdb' bus='ide'/>
      <readonly/>
    </disk>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw' cache='none'/>
      <source file='/srv/b.img'/>
      <target dev='hdc' bus='ide'/>
      <readonly/>
    </disk>
    <controller type='usb' index='0' model='qemu-xhci'/>
    <serial type='pty'>
      <target type='isa-serial' port='0'><model name='isa-serial'/></target>
    </serial>
    <serial type='pty'>
      <target port='1'/>
    </serial>
    <console type='pty'>
      <target type='serial' port='0'/>
    </console>
    <channel type='unix'>
      <target type='virtio' name='org.qemu.guest_agent.0'/>
      <address type='virtio-serial' controller='0' bus='0' port='1'/>
    </channel>
    <channel type='spicevmc'>
      <target type='virtio' name='com.redhat.spice.0'/>
    </channel>
    <input type='tablet' bus='usb'/>
    <input type='mouse' bus='ps2'/>
    <input type='keyboard' bus='ps2'/>
    <graphics type='vnc' port='5905' autoport='no' listen='127.0.0.1' passwd='secret' keymap='de'/>
    <sound model='ich9'/>
    <video>
      <model type='qxl' ram='65536' vram='65536' heads='1' primary='yes'>
        <resolution x='1024' y='768'/>
      </model>
      <address type='pci' slot='0x02'/>
    </video>
  </devices>
</domain>
`,
  'a guest without a PC': `<domain type='vmexit'>
  <name>bare</name>
  <memory unit='KiB'>2048</memory>
  <os><type arch='x86_64' machine='bare'>hvm</type></os>
  <devices><serial type='pty'/><serial type='pty'><target port='1'/></serial></devices>
  <vmexit:definition xmlns:vmexit='https://github.com/vmexit/vmexit/domain/1'>
    { "mode": "long", "payload": { "guest": "hello" }, "routes": [{ "port": "0xe9", "to": "console" }] }
  </vmexit:definition>
</domain>
`,
}
